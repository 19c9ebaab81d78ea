"""Driving Hypothesis: draw problems and look for the worst, then shrink one to the simplest."""

import contextlib
import dataclasses
import math
import warnings
from collections.abc import Callable, Iterator, Sequence

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity

from afi_properties.building import build_problem
from afi_properties.choices import Choices, choices_from_id
from afi_properties.problem import Problem
from afi_properties.strategies import Demand, problems, stratified_problems
from afi_verify.examination import Finding, Kind
from afi_verify.profiles import Profile

Examine = Callable[[Problem], Finding]


def draw_problems(
    demand: Demand, examine: Examine, profile: Profile, seed: int, stop: Callable[[Finding], bool] = lambda _: False
) -> list[Finding]:
    """Examine problems: an even sample, small ones first, then random ones, then some steered.

    Half of the steered ones go towards large errors, for the worst counterexample; the other half towards large
    margins, where a wrong formula that nobody thought of shows best. The first finding for which ``stop`` is true is
    the last.
    """
    findings: list[Finding] = []
    stopped = False

    def record(problem: Problem) -> Finding:
        nonlocal stopped
        if stopped:  # Hypothesis replays what ended it
            raise _Found
        findings.append(examine(problem))
        stopped = stop(findings[-1])
        if stopped:
            raise _Found
        return findings[-1]

    def towards_error(problem: Problem) -> None:
        _target(record(problem).worst, "error in multiples of the attainable")

    def towards_margin(problem: Problem) -> None:
        _target(record(problem).margin.margin, "margin to the nearest wrong formula")

    with contextlib.suppress(_Found):
        for problem in stratified_problems(demand, profile.rounds, seed):
            record(problem)
        _run(record, demand, profile.drawn, seed, (Phase.generate,))
        if profile.steered:
            half = profile.steered // 2
            _run(towards_error, demand, half, seed + 1, (Phase.generate, Phase.target))
            _run(towards_margin, demand, profile.steered - half, seed + 2, (Phase.generate, Phase.target))
    return findings


def _target(value: float, label: str) -> None:
    if 0 < value < math.inf:
        hypothesis.target(math.log10(value), label=label)


MOST_NUMBERS = 2**24
"""Numbers of atoms to look at, in all, to make a counterexample that needs many simpler: a second for a large one."""

NUMBERS_OF_A_SMALL_PROBLEM = 2**13
"""A problem with fewer numbers takes as long as one with these."""

DRAWS_BEFORE_SHRINKING = 400
"""How many problems are drawn to find one that Hypothesis can shrink; it stops at the first."""


def shrink(demand: Demand, examine: Examine, findings: Sequence[Finding], kind: Kind, seed: int) -> Finding:
    """Return the simplest problem whose finding is of ``kind``.

    Problems with few atoms in few dimensions are drawn first: shrinking one size step by step stops where the next
    smaller one shows the fault only with another geometry. Where none of those shows it, the choices of one of
    ``findings`` are made simpler, one after the other; one at least must be of ``kind``.
    """
    small = dataclasses.replace(demand, largest_dimension=min(3, demand.largest_dimension), most_atoms=3)
    return _shrink(small, examine, kind, seed) or _simplify(demand, examine, findings, kind)


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


def _simplify(demand: Demand, examine: Examine, findings: Sequence[Finding], kind: Kind) -> Finding:
    """Make the choices of the smallest finding of ``kind`` simpler as long as the finding stays one."""
    simplest = min((f for f in findings if f.kind is kind), key=_size)
    assert simplest.problem.id is not None
    choices = choices_from_id(simplest.problem.id)
    simpler, left = True, MOST_NUMBERS
    while simpler:
        simpler = False
        for changed in _simpler(demand, choices):
            left -= max(math.prod(changed.sizes), NUMBERS_OF_A_SMALL_PROBLEM)
            if left < 0:
                return simplest
            finding = examine(build_problem(changed))
            if finding.kind is kind:
                simplest, choices, simpler = finding, changed, True
                break
    return simplest


def _simpler(demand: Demand, choices: Choices) -> Iterator[Choices]:
    """Yield choices that are simpler in one respect."""
    options: dict[str, Sequence[object]] = {
        "spread": (False,),
        "strided": (False,),
        "weights": ("uniform",),
        "offset": ("0", "1"),
        "shape": demand.shapes(),
        "radius": ("1",),
        "schedule": tuple(schedule.name for schedule in demand.schedules()),
        "log_snr": (0.0, 2.0, -2.0, 5.0, -5.0),
        "fine": (False,),
    }
    for sizes in _smaller(demand, choices.sizes):
        yield dataclasses.replace(choices, sizes=sizes)
    for name, values in options.items():
        for value in values:
            if value == getattr(choices, name):
                break  # what follows is not simpler
            yield dataclasses.replace(choices, **{name: value})  # type: ignore[arg-type]


def _smaller(demand: Demand, sizes: tuple[int, int, int]) -> Iterator[tuple[int, int, int]]:
    """Yield smaller sizes: first those of the demand, then some between them."""
    b, n, d = sizes
    between = [(1, n, d)]
    for part in (2, 4, 16, 64):  # a few large steps before many small ones
        between += [(b, n - n // part, d), (b, n, d - d // part)]
    between += [(b, n - 1, d), (b, n, d - 1)]
    for smaller in (*demand.sizes(), *between):
        fits = min(smaller) >= 1 and demand.dimension in (None, smaller[2])
        if fits and math.prod(smaller) < math.prod(sizes):
            yield smaller


def _size(finding: Finding) -> int:
    problem = finding.problem
    return problem.batch * problem.atoms * problem.dimension


class _Found(Exception):  # noqa: N818 - a signal to Hypothesis, not an error
    pass


def _run(body: Callable[[Problem], object], demand: Demand, cases: int, seed: int, phases: tuple[Phase, ...]) -> None:
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

    def test(problem: Problem) -> None:
        body(problem)

    with warnings.catch_warnings():
        # Such as that the code under test raised the limit of recursion: what it did is not the caller's concern.
        warnings.simplefilter("ignore", hypothesis.errors.HypothesisWarning)
        hypothesis.seed(seed)(settings(hypothesis.given(problems(demand))(test)))()
