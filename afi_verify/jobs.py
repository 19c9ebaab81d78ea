"""How many processes a run gets from the command line when nobody says so."""

import os
from collections.abc import Sequence

from afi_verify.adapter import Adapter
from afi_verify.planning import Check, Plan, planned_checks, why_not

MOST = 4
"""A process holds the array library and the adapters once more: more of them are for whoever asks."""

LARGE_DATA = 2**26
"""Bytes of data of the user's own from which on no copies are made of them unasked."""


def usual_jobs(plan: Plan, adapters: Sequence[Adapter]) -> int:
    """Return one process per core that this one may use, at most :data:`MOST`, and no more than could have work.

    One alone where every further one would cost memory that nobody offered: on a device that all would share, for
    functions that have data of their own, as a trained network has, and for large data.
    """
    shares_a_device = any(adapter.device != "cpu" for adapter in adapters)
    holds_a_model = any(family == "unknown" for adapter in adapters for _, family in adapter.functions)
    large = plan.own_data is not None and plan.own_data.atoms.nbytes > LARGE_DATA
    if shares_a_device or holds_a_model or large:
        return 1
    checks = [check for adapter in adapters for check in planned_checks(adapter, plan)]
    groups = {group_of(check) for check in checks if why_not(check, plan) is None}
    return max(1, min(at_most(), len(groups)))


def group_of(check: Check) -> tuple[str, ...]:
    """Return what checks have in common that run in one process: their file, role and precision."""
    return check.adapter.source, check.claim.role, check.adapter.dtype


def at_most() -> int:
    """Return how many processes a run gets that has enough to do."""
    return min(_cores(), MOST)


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1
