"""Running checks on a dask cluster, through joblib."""

import contextlib
import importlib
from collections.abc import Generator, Sequence
from typing import Any

from afi_verify.adapter import Adapter
from afi_verify.elsewhere import on_dask, run_elsewhere
from afi_verify.errors import UnusableError
from afi_verify.limits import Limits
from afi_verify.planning import Check, Plan
from afi_verify.workers import Event

_TO_CONNECT = 10


def slots(address: str) -> int:
    """Return how many tasks a cluster runs at once.

    Raises
    ------
    UnusableError
        If dask is not installed, there is no cluster at the address, or it has no workers.
    """
    with _connect(address) as client:
        return sum(client.nthreads().values())


def run_on_cluster(
    plan: Plan, adapters: Sequence[Adapter], checks: Sequence[Check], address: str, jobs: int, limits: Limits
) -> Generator[Event, None, None]:
    """Run ``checks`` on the cluster at ``address``; yield each when its group has ended.

    The files of the adapters must be at the same paths on all machines.

    Raises
    ------
    UnusableError
        If there is no such cluster.
    """
    with (
        _connect(address) as client,
        contextlib.closing(run_elsewhere(plan, adapters, checks, jobs, limits, on_dask(client))) as events,
    ):
        yield from events


def _connect(address: str) -> Any:
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError as error:
        raise UnusableError(f"--cluster needs dask ({error}). Install it: pip install 'afi-verify[dask]'") from None
    try:
        client = distributed.Client(address, timeout=_TO_CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnusableError(f"--cluster {address}: there is no cluster ({reason}).") from None
    if not client.nthreads():
        client.close()
        raise UnusableError(f"--cluster {address}: it has no workers. Start some: dask worker {address}")
    return client
