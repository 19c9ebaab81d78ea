"""Running checks on a dask cluster: a task per group of checks, which runs them as a local run would.

A task starts a worker process of ours on the machine where it lands. So limits, captured output and the causes of
deaths are the same as locally, and a crash takes no worker of dask with it.
Locally there is a process per core and no library: the pools of joblib (loky) and concurrent.futures break as a whole
when one of their processes dies, and the death of a process is what we want to hear of.
"""

import contextlib
import importlib
import os
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from afi_verify.adapter import Adapter
from afi_verify.errors import UnusableError
from afi_verify.limits import Limits
from afi_verify.planning import Check, Plan
from afi_verify.sending import Parcels, pack_all
from afi_verify.series import NotSentError, Reply, Series, outcome_of
from afi_verify.workers import Event, groups_of

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
    plan: Plan, adapters: Sequence[Adapter], checks: Sequence[Check], address: str, limits: Limits
) -> Generator[Event, None, None]:
    """Run ``checks`` on the cluster at ``address``; yield each as its group begins and ends.

    The files of the adapters must be at the same paths on all machines.

    Raises
    ------
    UnusableError
        If there is no such cluster.
    """
    parcels = pack_all(adapters)
    positions = {adapter: position for position, adapter in enumerate(adapters)}
    with _connect(address) as client:
        shared = client.scatter((plan, parcels), broadcast=False)
        groups = {}
        for group in groups_of(checks):
            items = [(positions[check.adapter], check.id) for check in group]
            future = client.submit(run_group, shared, items, limits, str(Path.cwd()), pure=False)
            groups[future] = group
        try:
            for future in importlib.import_module("distributed").as_completed(list(groups), loop=client.loop):
                for check, reply in zip(groups[future], future.result(), strict=True):
                    outcome = outcome_of(check, reply)
                    if not isinstance(outcome[0], NotSentError):
                        yield check, None, 0.0, ""
                    yield check, *outcome
        finally:
            client.cancel(list(groups))


def run_group(what: tuple[Plan, Parcels], items: list[tuple[int, str]], limits: Limits, folder: str) -> list[Reply]:
    """Run checks one after the other on a worker process of ours, on this machine; return its replies."""
    series = Series(*what, limits, folder if os.path.isdir(folder) else None)  # noqa: PTH112
    with contextlib.closing(series):
        return [series.run(position, check_id) for position, check_id in items]


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
