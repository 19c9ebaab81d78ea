"""Scripts that replay a training that missed the optimum: they train again, and ask the head at some points."""

import numpy as np

from afi_properties.claims.trace_head import UNACCEPTABLE
from afi_properties.inputs import Inputs
from afi_properties.problem import Array
from afi_properties.training import LEVELS
from afi_verify.counterexamples import LARGEST_SCRIPT
from afi_verify.flow_scripts import flow_script
from afi_verify.handing import Handed, Subject

_MOST_POINTS = 16  # of each level


def shows(squares: Array, explainable: float) -> bool:
    """Whether squared deviations at the points of a script are those of a head that is far from the optimum."""
    count = _count(len(squares), _MOST_POINTS)
    return not float(squares.reshape(LEVELS, -1)[:, :count].mean()) <= UNACCEPTABLE * explainable


def training_script(
    subject: Subject, handed: Handed, at: Inputs, right: Array, explainable: float, *, steps: int, seed: int
) -> str:
    """Return a script that trains with this seed, and compares the head with the optimum; empty if it were too long.

    Parameters
    ----------
    at, right
        Points, as many for each level, and the optimum there.
    explainable
        What a head can explain.
    steps, seed
        The number of steps of training, and the seed, that the script begins with.
    """
    dimension = handed.problem.dimension
    room = (LARGEST_SCRIPT - sum(v.size for v in handed.values.values()) - LEVELS - 1) // (LEVELS * (dimension + 1))
    count = _count(len(right), min(room, _MOST_POINTS))
    if count < 2:
        return ""
    numbers = {
        "points": at.x.reshape(LEVELS, -1, dimension)[:, :count],
        "expected": right.reshape(LEVELS, -1)[:, :count],
        "times": handed.values["t"],
        "explainable": np.asarray(explainable),
    }
    judge = _JUDGE.replace("STEPS_HERE", str(steps)).replace("SEED_HERE", str(seed)).replace("WORST", str(UNACCEPTABLE))
    return flow_script(subject, handed, what="the head that it trains", numbers=numbers, judge=judge)


def _count(points: int, most: int) -> int:
    return min(points // LEVELS, most)


_JUDGE = """def answers(head):
    rows = []
    for x, t in zip(points, times):
        time = array(np.full(len(x), t)) if PER_SAMPLE_NOISE else float(t)
        rows.append(plain(head(array(x.reshape(-1, *EVENT_SHAPE)), time)).reshape(len(x)))
    return np.array(rows)


head = ask(num_steps=STEPS_HERE, seed=SEED_HERE)
found, again = answers(head), answers(head)
excess = float(((found - expected) ** 2).mean() / explainable)
print("excess risk, as a part of what can be explained:", excess, "(0 is the optimum, 1 a constant)")
same = abs(found - again).max() <= 1e-3 * (np.ptp(found) + abs(found).mean())
if not same:
    print("different answers for the same points")
wrong = not (excess <= WORST and same)
print("reproduced: the head is far from the optimum" if wrong else "not reproduced: the head is near the optimum")
sys.exit(wrong)
"""
