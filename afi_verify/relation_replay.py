"""Scripts that replay a violated relation without any of our code.

Both sides of most relations are affine functions of the answers: a script then holds the questions, exactly as they
were handed over, and the coefficients of the answers on either side. Where a side is no such function, a sum of
squares for example, or its questions are functions, there is no script.
"""

import dataclasses
from collections.abc import Callable
from string import Template

import numpy as np

from afi_properties.problem import Array, Problem
from afi_properties.relation import Question
from afi_verify.counterexamples import LARGEST_SCRIPT, LOADING, literal
from afi_verify.relation_team import Implementation, Team

_FUNCTIONS = frozenset({"eps_fn", "head_fn", "schedule"})
_PARALLEL = 1e-9
"""Largest relative error of an affine function."""


@dataclasses.dataclass(frozen=True, eq=False)
class _Call:
    role: str
    numbers: dict[str, Array]
    answer: Array


def replay_script(implementation: Implementation, problem: Problem, point: int, attainable: float) -> str:
    """Return a script that asks the same questions again and compares the sides at one point; empty if none fits."""
    team = implementation.team
    if any(team.subjects[role].asks_for(*_FUNCTIONS) for role in team.roles):
        return ""
    calls: list[_Call] = []

    def recording(role: str, question: Question) -> Array:
        answer = implementation(role, question)
        names = sorted(team.subjects[role].provided.parameters)
        handed = implementation.handed(role, question).values
        calls.append(_Call(role, {name: handed[name] for name in names}, answer))
        return answer

    sides = team.relation.compare(recording, team.roles, problem)
    answers = np.concatenate([call.answer.ravel() for call in calls])
    # Cheap bounds first: coefficients cost a computation of the sides for each number of an answer.
    asked = sum(value.size for call in calls for value in call.numbers.values())
    if asked + 2 * answers.size > LARGEST_SCRIPT or not np.isfinite(answers).all():
        return ""
    affine = _affine(lambda numbers: _sides(team, problem, calls, numbers, point), answers)
    if affine is None or asked + affine[1].size > 2 * LARGEST_SCRIPT:
        return ""
    constant, coefficients = affine
    adapter = team.subjects[team.roles[0]].adapter
    return _SCRIPT.substitute(
        label=team.relation.label,
        statement=team.relation.statement,
        case=repr(problem),
        adapter=adapter.name.replace("\\", "/").replace('"', "'"),
        name=repr(adapter.name),
        source=repr(adapter.source),
        gaussian="means" in problem.values,
        backend=repr(adapter.backend),
        dtype=repr(adapter.dtype),
        device=repr(adapter.device),
        event_shape=repr(team.subjects[team.roles[0]].event_shape(problem)),
        per_sample=adapter.per_sample_noise,
        loading=LOADING,
        questions="\n".join(_question(call) for call in calls),
        constant=literal(constant),
        coefficients=literal(coefficients),
        attainable=float(attainable).hex(),
        bound=sides.upper_bound,
    )


def _sides(team: Team, problem: Problem, calls: list[_Call], numbers: Array, point: int) -> Array:
    """Return both sides at a point, (2, k), if the answers to the recorded questions were these numbers."""
    rest, pending = numbers, iter(calls)

    def answer(role: str, question: Question) -> Array:
        nonlocal rest
        call = next(pending)
        mine, rest = rest[: call.answer.size], rest[call.answer.size :]
        return mine.reshape(call.answer.shape)

    sides = team.relation.compare(answer, team.roles, problem)
    return np.stack([np.atleast_1d(side[point]).ravel() for side in (sides.left, sides.right)])


def _affine(function: Callable[[Array], Array], at: Array) -> tuple[Array, Array] | None:
    """Return constant (2, k) and coefficients (n, 2, k) of a function of (n,) numbers; ``None`` if it is not affine."""
    constant = function(np.zeros_like(at))
    scale = max(float(np.abs(at).max()), float(np.abs(constant).max()), np.finfo(float).tiny)
    rows = [function(scale * unit) - constant for unit in np.eye(len(at))]
    coefficients = np.stack(rows) / scale
    expected = constant + np.tensordot(at, coefficients, axes=1)
    size = np.abs(constant) + np.tensordot(np.abs(at), np.abs(coefficients), axes=1)
    return (constant, coefficients) if (np.abs(function(at) - expected) <= _PARALLEL * size).all() else None


def _question(call: _Call) -> str:
    numbers = ", ".join(f"{name!r}: {literal(value)}" for name, value in call.numbers.items())
    return f"    ({call.role!r}, {{{numbers}}}),"


_SCRIPT = Template('''"""Replays a counterexample: $adapter violates the relation "$label".

$case
What must hold: $statement

Both sides are sums of the answers to the questions below, each number of an answer times a coefficient.
Needs NumPy, what the implementation needs, and the implementation itself; not afi-verify.
Usage: python replay.py [adapter.py]; exit status 1 if the sides disagree again, 0 if they agree.
"""

import importlib
import importlib.util
import inspect
import os
import sys
import types

import numpy as np

SOURCE = sys.argv[1] if len(sys.argv) > 1 else $source
NAME, GAUSSIAN = $name, $gaussian
BACKEND, DTYPE, DEVICE = $backend, $dtype, $device
EVENT_SHAPE, PER_SAMPLE_NOISE = $event_shape, $per_sample
LIMIT = 16  # in multiples of the attainable error
UPPER_BOUND = $bound  # whether it is enough that the left side is not larger


def numbers(shape, text):
    return np.array([float.fromhex(word) for word in text.split()]).reshape(shape)


# The numbers handed over, exactly.
questions = [
$questions
]

# Of both sides: what does not depend on the answers, and the coefficient of each number of the answers.
constant = $constant
coefficients = $coefficients
attainable = float.fromhex("$attainable")


$loading
def ask(role, values):
    arguments = {}
    for parameter, value in values.items():
        if parameter in ("x", "v", "x0", "data", "means", "eps"):
            value = array(value.reshape(-1, *EVENT_SHAPE))
        elif parameter in ("alpha", "sigma", "t", "alpha_bar") and not PER_SAMPLE_NOISE:
            value = array(value[0]) if parameter == "alpha_bar" else float(value[0])
        else:
            value = array(value)
        arguments[parameter] = value
    return plain(load_function(role)(**arguments)).ravel()


answers = np.concatenate([ask(role, values) for role, values in questions])
left, right = constant + np.tensordot(answers, coefficients, axes=1)
difference = np.maximum(left - right, 0) if UPPER_BOUND else left - right
error = np.sqrt((difference**2).sum()) / attainable
print("left:", left, "right:", right, sep="\\n")
print("apart, in multiples of the attainable:", error)
wrong = not error <= LIMIT
print("reproduced: the sides disagree" if wrong else "not reproduced: the sides agree")
sys.exit(wrong)
''')
