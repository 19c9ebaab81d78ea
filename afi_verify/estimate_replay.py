"""Scripts that replay a wrong random estimate: a few hundred seeds, whose answers' mean and variance they look at."""

import inspect

import numpy as np

from afi_properties.judgement import LIMIT, find_truth
from afi_properties.precision import PRECISIONS
from afi_properties.problem import Array
from afi_verify import estimate_judge
from afi_verify.flow_scripts import flow_script
from afi_verify.handing import Handed, Subject, call_with

PROBES = 2
"""Two, so that the sum over probes is not their mean."""


def gross_fault(subject: Subject, handed: Handed, accepted: Array) -> str:
    """Return what a few hundred estimates show to be wrong; empty if nothing, or the precision has too few digits.

    Parameters
    ----------
    accepted
        The largest variance of one probe that is accepted, (B,).

    Raises
    ------
    BrokenAnswerError
        If there is no answer.
    """
    expected, allowance = _truth(subject, handed)

    def ask(seed: int) -> Array:
        return call_with(subject, handed, num_probes=PROBES, seed=seed)

    if np.isnan(expected).any():
        return ""
    return estimate_judge.judge_estimates(ask, expected, allowance, accepted / PROBES)


def estimate_script(subject: Subject, handed: Handed, accepted: Array) -> str:
    """Return a script that judges estimates as :func:`gross_fault` does; empty if it were too long."""
    _, _, judge = inspect.getsource(estimate_judge).partition("import numpy as np\n")
    expected, allowance = _truth(subject, handed)
    numbers = {"expected": expected, "allowance": allowance, "variance": accepted / PROBES}
    what = f"the mean and the variance of {estimate_judge.CALLS} estimates"
    return flow_script(subject, handed, what=what, numbers=numbers, judge=judge.lstrip() + _TAIL)


def _truth(subject: Subject, handed: Handed) -> tuple[Array, Array]:
    """Return the mean, ``nan`` where the precision cannot represent it, and what rounding may change of it."""
    truth = find_truth(subject.claim, handed.values, handed.problem, handed.skew, PRECISIONS[subject.dtype])
    expected = np.where(truth.representable, np.asarray(truth.answer, dtype=np.float64), np.nan)
    return expected, LIMIT * truth.attainable


_TAIL = f"""

def answer(seed):
    return plain(ask(num_probes={PROBES}, seed=seed)).reshape(expected.shape)


fault = judge_estimates(answer, expected, allowance, variance)
print("expected mean:", expected, "largest variance:", variance)
print("found:", fault or "nothing")
print("reproduced: the estimates are wrong" if fault else "not reproduced: the estimates are right")
sys.exit(bool(fault))
"""
