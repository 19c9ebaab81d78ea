"""Driving Hypothesis: draw problems and look for the worst, then shrink one to the simplest."""

import dataclasses
import math
from collections.abc import Callable

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity

from afi_properties.problem import Problem
from afi_properties.strategies import Demand, problems, stratified_problems
from afi_verify.examination import Finding, Kind
from afi_verify.profiles import Profile

Examine = Callable[[Problem], Finding]


def draw_problems(demand: Demand, examine: Examine, profile: Profile, seed: int) -> list[Finding]:
    """Examine problems: an even sample, then random ones, then some steered towards large errors."""
    findings = [examine(problem) for problem in stratified_problems(demand, profile.rounds, seed)]

    def record(problem: Problem) -> None:
        finding = examine(problem)
        findings.append(finding)
        if 0 < finding.worst < math.inf:
            hypothesis.target(math.log10(finding.worst), label="error in multiples of the attainable")

    _run(record, demand, profile.drawn, seed, (Phase.generate,))
    if profile.steered:
        _run(record, demand, profile.steered, seed + 1, (Phase.generate, Phase.target))
    return findings


DRAWS_BEFORE_SHRINKING = 400
"""How many problems are drawn to find one that Hypothesis can shrink; it stops at the first."""


def shrink(demand: Demand, examine: Examine, kind: Kind, seed: int) -> Finding | None:
    """Return the simplest problem whose finding is of ``kind``, or ``None`` if none is drawn.

    There may be none where few problems show the fault, or where an implementation does not answer the same
    question the same way twice. Problems with few atoms in few dimensions come first: shrinking one size step by step
    stops where the next smaller one shows the fault only with another geometry.
    """
    small = dataclasses.replace(demand, largest_dimension=min(3, demand.largest_dimension), most_atoms=3)
    return _shrink(small, examine, kind, seed) or _shrink(demand, examine, kind, seed)


def _shrink(demand: Demand, examine: Examine, kind: Kind, seed: int) -> Finding | None:
    found: list[Finding] = []

    def look(problem: Problem) -> None:
        finding = examine(problem)
        if finding.kind is kind:
            found.append(finding)
            raise _Found

    try:
        _run(look, demand, DRAWS_BEFORE_SHRINKING, seed, (Phase.generate, Phase.shrink))
    except (_Found, hypothesis.errors.Flaky):
        return found[-1]  # Hypothesis ends by replaying the simplest
    return None


class _Found(Exception):  # noqa: N818 - a signal to Hypothesis, not an error
    pass


def _run(body: Callable[[Problem], None], demand: Demand, cases: int, seed: int, phases: tuple[Phase, ...]) -> None:
    settings = hypothesis.settings(
        max_examples=cases,
        phases=phases,
        database=None,  # a verdict depends on the seed alone, not on what an earlier run found
        deadline=None,
        derandomize=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    test = hypothesis.given(problems(demand))(body)
    hypothesis.seed(seed)(settings(test))()
