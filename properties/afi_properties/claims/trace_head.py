"""Training a trace head: Algorithm 1, whose optimum is Prop. 6.

With ``T = |x_0|^2 / d`` and ``t*(x) = E[T | x_t = x]``, the risk of any head h at one time is

    E (h(x_t) - T)^2 = E (h(x_t) - t*(x_t))^2 + E Var(T | x_t),

because ``E[(h - t*) (t* - T)] = E[(h - t*) E[t* - T | x_t]] = 0``. The last term, the Bayes risk, is everybody's: what
is a head's own is the first, the *excess risk*, the mean squared distance from the optimum. It needs no targets and can
be measured exactly at any point where ``t*`` is known.

Training ends before the optimum, so the claim cannot be that the excess is 0. A head that knows the time but not x can
at best answer ``E T``; its excess is ``Var t*(x_t)``, all there is to explain. The claim is that training explains most
of it: over eight equally spaced times of the schedule, the mean excess is at most :data:`ACCEPTABLE` of the mean of
what can be explained. A head is called right only if a test excludes :data:`UNACCEPTABLE`, and the cases are such that
every wrong target that is listed here has more than that.
"""

from collections.abc import Callable

import numpy as np

from afi_properties.claim import DIRAC_PARAMETERS, Claim, Formula
from afi_properties.inputs import Inputs
from afi_properties.problem import Array
from afi_reference.dirac import DiracMixture

ACCEPTABLE = 0.05
"""The excess risk, as a part of what can be explained, up to which no head is called wrong."""

UNACCEPTABLE = 0.1
"""From here on none is called right."""


def truth(i: Inputs) -> Array:
    """``E[|x_0|^2 | x_t = x] / d`` (eq. 43)."""
    return i.second_moment / i.dimension


def _moment(power: float) -> Callable[[Inputs], Array]:
    def formula(i: Inputs) -> Array:
        law = _diracs(i)
        norms = np.sqrt((law.atoms**2).sum(axis=1))
        return np.asarray(law.posterior_weights(i.x, i.alpha, i.sigma) @ norms**power)

    return formula


def _diracs(i: Inputs) -> DiracMixture:
    assert isinstance(i.law, DiracMixture)
    return i.law


def _uniform_weights(i: Inputs, right: Array) -> Array | None:
    law = _diracs(i)
    if np.ptp(np.asarray(law.weights)) == 0:
        return None
    return np.asarray(DiracMixture(law.atoms).posterior_second_moment(i.x, i.alpha, i.sigma)) / i.dimension


def _at(noise: Callable[[Inputs], tuple[Array, Array]]) -> Formula:
    """Return the optimum for noise levels that were taken for those of the points."""
    return lambda i, right: np.asarray(i.law.posterior_second_moment(i.x, *noise(i))) / i.dimension


def _without_time(i: Inputs, right: Array) -> Array:
    """Return the optimum of a head that is not told the time: the mean over the times that x may be of."""
    levels = np.unique(np.stack([i.alpha, i.sigma]), axis=1).T
    densities = np.stack([i.law.log_density(i.x, a, s) for a, s in levels])
    chances = np.exp(densities - densities.max(axis=0))
    heads = np.stack([i.law.posterior_second_moment(i.x, a, s) for a, s in levels])
    return np.asarray((chances * heads).sum(axis=0) / chances.sum(axis=0) / i.dimension)


def _standardised(i: Inputs, right: Array) -> Array:
    law = _diracs(i)
    targets = (law.atoms**2).mean(axis=1)
    mean = np.asarray(law.weights) @ targets
    return np.asarray((right - mean) / np.sqrt(np.asarray(law.weights) @ (targets - mean) ** 2))


def _mean_target(i: Inputs, right: Array) -> Array:
    law = _diracs(i)
    return np.full(len(i.x), np.asarray(law.weights) @ (law.atoms**2).mean(axis=1))


def _squared_mean(i: Inputs) -> Array:
    return np.asarray((i.law.posterior_mean(i.x, i.alpha, i.sigma) ** 2).sum(axis=1))


CLAIMS = (
    Claim(
        role="train_trace_head",
        label="prop-6",
        family="dirac",
        statement=(
            "E (head − t*)² ≤ 0.05 Var t*, over eight times of the schedule, with t* = E[‖x₀‖² given x]/d: training "
            "explains what can be explained"
        ),
        answer="head",
        truth=truth,
        wrong={
            "|x_0|^2 not divided by d": lambda i, right: None if i.dimension == 1 else right * i.dimension,
            "|x_0|^2 divided by d twice": lambda i, right: None if i.dimension == 1 else right / i.dimension,
            "|E x_0|^2 / d, the square of the mean": lambda i, right: _squared_mean(i) / i.dimension,
            "the variance of x_0": lambda i, right: right - _squared_mean(i) / i.dimension,
            "|x_t|^2 / d for |x_0|^2 / d": lambda i, right: (i.x**2).mean(axis=1),
            "alpha^2 |x_0|^2 / d": lambda i, right: i.alpha**2 * right,
            "|x_0| / d, not squared": lambda i, right: _moment(1)(i) / i.dimension,
            "|x_0|^4 / d": lambda i, right: _moment(4)(i) / i.dimension,
            "the mean of the target, whatever x": _mean_target,
            "0": lambda i, right: np.zeros(len(i.x)),
            "the target standardised": _standardised,
            "time ignored": _without_time,
            "|x_t|^2 / (alpha^2 d)": lambda i, right: (i.x**2).mean(axis=1) / i.alpha**2,
            "alpha^2 for alpha": _at(lambda i: (i.alpha**2, i.sigma)),
            "sigma^2 for sigma": _at(lambda i: (i.alpha, i.sigma**2)),
            "x_t = x_0 + sigma noise": _at(lambda i: (np.ones_like(i.alpha), i.sigma)),
            "alpha and sigma exchanged": _at(lambda i: (i.sigma, i.alpha)),
            "weights ignored": _uniform_weights,
        },
        parameters=DIRAC_PARAMETERS | {"schedule", "seed", "num_steps"},
        random=True,
    ),
)
