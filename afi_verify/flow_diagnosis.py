"""What is wrong with a function of trajectories, as far as its answers tell: formulas, and behaviour between calls."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from afi_properties.convergence import RESOLUTION
from afi_properties.diagnosis import Explanation, Fault
from afi_properties.diagnosis.flows import FlowExhibit, explain_flow
from afi_properties.judgement import norms
from afi_properties.problem import Array, Problem
from afi_properties.trajectory import trajectory_of
from afi_properties.trajectory_cases import alone
from afi_verify.errors import BrokenAnswerError
from afi_verify.handing import Subject, call, call_with, round_problem
from afi_verify.trajectory_examination import Known, claim_of, known_of

STEPS = (32, 64)
"""Of every case: enough for a limit within a few percent of a deviation."""


def diagnose_trajectory(subject: Subject, problems: Sequence[Problem]) -> Explanation | None:
    """Return what explains the answers to all of the problems, or ``None``.

    Calls the function again: on every problem, twice, and on single points.
    """
    try:
        shown = [(problem, known_of(subject, problem), _answers(subject, problem)) for problem in problems]
        return _formula(subject, shown) or _behaviour(subject, shown)
    except BrokenAnswerError:
        return None


_Shown: TypeAlias = tuple[Problem, Known, list[Array]]


def _formula(subject: Subject, shown: Sequence[_Shown]) -> Explanation | None:
    exhibits = [FlowExhibit(trajectory_of(p), k.truth.value, k.scale, answers) for p, k, answers in shown]
    # Most formulas are about the exact epsilon; what explains the answers for another one, too, is looked for first.
    exact = [one for one, (problem, _, _) in zip(exhibits, shown, strict=True) if problem.eps_kind == "exact"]
    chosen = [exhibits] if len(exact) == len(exhibits) else [exhibits, exact]
    for some in chosen:
        if any((one.deviation > RESOLUTION * one.scale).any() for one in some):
            found = explain_flow(claim_of(subject).role, some)
            if found is not None:
                return found
    return None


def _answers(subject: Subject, problem: Problem) -> list[Array]:
    handed = round_problem(subject, problem)
    if not subject.asks_for("num_steps"):
        return [np.asarray(call(subject, handed, subject.dtype), dtype=np.float64)]
    return [np.asarray(call_with(subject, handed, num_steps=steps), dtype=np.float64) for steps in STEPS]


def _behaviour(subject: Subject, shown: Sequence[_Shown]) -> Explanation | None:
    wrong = [one for one in shown if (norms(one[2][-1] - one[1].truth.value) > RESOLUTION * one[1].scale).any()]
    for problem, known, answers in wrong[:2]:
        slack = RESOLUTION * known.scale
        again = _answers(subject, problem)[-1]
        if not (norms(again - answers[-1]) <= slack).all():
            return Explanation(Fault.STATE, "changes from call to call on the same numbers")
        for point in range(problem.batch) if problem.batch > 1 else ():
            by_itself = _answers(subject, alone(problem, point))[-1]
            if not norms(by_itself - answers[-1][point : point + 1])[0] <= slack[point]:
                return Explanation(Fault.BATCH, "depends on the other points of its batch")
    fixed = subject.asks_for("num_steps") and all((answers[0] == answers[-1]).all() for _, _, answers in wrong)
    if wrong and fixed:
        return Explanation(Fault.STEPS, "is the same for every num_steps: the steps are not those that are asked for")
    return None
