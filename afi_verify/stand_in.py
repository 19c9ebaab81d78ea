"""Adapters as JSON, so that a process can plan checks without executing a line of the file that makes them."""

import dataclasses
from typing import Any

from afi_properties.catalogue import claims_of_role
from afi_verify.adapter import Adapter, Provided
from afi_verify.errors import UnusableError
from afi_verify.known_failures import make_known_failure

_OPTIONS = ("name", "backend", "dtype", "device", "event_shape", "per_sample_noise", "model")


class StandIn(Adapter):
    """Stands for an adapter that a file makes, wherever nothing is called; a worker process has the real one."""


def describe(adapter: Adapter) -> dict[str, Any]:
    """Return what there is to know of an adapter without calling its functions, as JSON."""
    failures = [
        {**dataclasses.asdict(failure), "until": failure.until.isoformat()} for failure in adapter.known_failures
    ]
    functions = [[role, family, sorted(given.parameters)] for (role, family), given in adapter.functions.items()]
    options = {name: getattr(adapter, name) for name in _OPTIONS}
    return {"options": options, "functions": functions, "known_failures": failures}


def stand_in(entry: Any, file: str) -> Adapter:
    """Return an adapter like the one that was described.

    Raises
    ------
    UnusableError
        If nothing can be made of the description: the file may have changed its adapter in any way.
    """
    try:
        adapter = StandIn(**entry["options"])
        adapter.source = file
        for role, family, parameters in entry["functions"]:
            claim = next(claim for claim in claims_of_role(role) if claim.family == family)
            adapter.functions[role, family] = Provided(role, claim, _elsewhere, frozenset(parameters))
        for failure in entry["known_failures"]:
            adapter.known_failures.append(make_known_failure(repr(adapter), **failure))
    except (LookupError, StopIteration, TypeError, ValueError) as error:
        raise UnusableError(f"what it makes is no usable Adapter ({type(error).__name__}: {error}).") from None
    return adapter


def _elsewhere(**arguments: Any) -> None:
    raise AssertionError("the function is in another process")
