"""Scripts that replay a wrong trajectory: they ask for more and more steps, and judge the limit as the check does."""

import inspect

import numpy as np

from afi_properties import convergence, judgement
from afi_properties.precision import PRECISIONS
from afi_verify.flow_scripts import flow_script
from afi_verify.handing import Subject
from afi_verify.trajectory_examination import TrajectoryFinding


def trajectory_script(subject: Subject, finding: TrajectoryFinding) -> str:
    """Return a script that calls the function on these numbers and judges its answers; empty if it were too long."""
    truth = finding.known.truth
    # What decides is in the script as it is here, without the imports.
    _, _, judge = inspect.getsource(convergence).partition("from afi_properties.problem import Array\n")
    unit = PRECISIONS[subject.dtype].unit_roundoff
    numbers = {
        "expected": truth.value,
        "expected_error": truth.error,
        "scale": finding.known.scale,
        "unit_roundoff": np.asarray(unit),
    }
    source = f"Array = np.ndarray\n\n\n{inspect.getsource(judgement.norms)}\n{judge}{_TAIL}"
    return flow_script(subject, finding.handed, what="the limit of many steps", numbers=numbers, judge=source)


_TAIL = """

answers = []
for steps in STEPS if "num_steps" in PARAMETERS else (None,):
    answers.append(plain(ask() if steps is None else ask(num_steps=steps)).reshape(expected.shape))
    if steps is None:
        found = judge_answer(answers[0], expected, expected_error, scale)
    else:
        last = steps == STEPS[-1]
        found = judge_limit(answers, expected, expected_error, scale, float(unit_roundoff), last=last)
    if found.limit is not Limit.OPEN:
        break
print("returned:", answers[-1], "expected:", expected, sep="\\n")
print("steps:", steps if steps is not None else "as many as it chooses")
print("error, in multiples of what is accepted, per point:", found.errors)
wrong = found.limit is not Limit.RIGHT
print("reproduced: the answer is wrong" if wrong else "not reproduced: the answer is right")
sys.exit(wrong)
"""
