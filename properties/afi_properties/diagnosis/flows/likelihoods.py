"""Hypotheses about a likelihood: another prior, another integrand, another flow, another unit."""

import functools
import math
from collections.abc import Callable, Iterator

import numpy as np

from afi_properties.claims.log_likelihood import prior
from afi_properties.diagnosis.explanation import Fault
from afi_properties.diagnosis.flows.hypothesis import FlowCase, Hypothesis
from afi_properties.diagnosis.flows.place import Place
from afi_properties.diagnosis.flows.route import RIGHT, Arrival, View, place_at
from afi_properties.diagnosis.flows.variants import MOVES, VIEWS
from afi_properties.problem import Array


def _trace(matrix: Array) -> Array:
    return np.asarray(np.trace(matrix, axis1=1, axis2=2))


def right_rates(p: Place) -> list[Array]:
    """``f d`` and ``g^2 / 2 tr F``."""
    return [np.full(len(p.x), p.f * p.dimension), p.g2 / 2 * _trace(p.fisher)]


def _norms(matrix: Array) -> Array:
    return np.asarray(np.sqrt((matrix**2).sum(axis=(1, 2))))


_TRACES: tuple[tuple[Fault, str, Callable[[Place], Array]], ...] = (
    (
        Fault.TERM_DROPPED,
        "the covariance dropped from the trace",
        lambda p: np.full(len(p.x), p.dimension / p.sigma**2),
    ),
    (Fault.TERM_DROPPED, "E|x_0|^2 for the variance in the trace", lambda p: _trace(p.fisher_with(p.second_moment))),
    (Fault.ONE_OVER_D, "1/d before |E x_0|^2 missing: eq. 17 as printed", lambda p: _printed(p)),
    (Fault.ONE_OVER_D, "the variance divided by d", lambda p: _trace(p.fisher_with(p.covariance / p.dimension))),
    (Fault.ONE_OVER_D, "the variance times d", lambda p: _trace(p.fisher_with(p.covariance * p.dimension))),
    (Fault.ONE_OVER_D, "1 / sigma^2 for d / sigma^2", lambda p: _trace(p.fisher) - (p.dimension - 1) / p.sigma**2),
    (Fault.SIGN, "the wrong sign of the covariance", lambda p: _trace(p.fisher_with(-p.covariance))),
    (Fault.POWER_OF_ALPHA, "alpha for alpha^2 in the trace", lambda p: _trace(p.fisher_with(p.covariance, 1))),
    (Fault.POWER_OF_ALPHA, "no alpha^2 in the trace", lambda p: _trace(p.fisher_with(p.covariance, 0))),
    (Fault.POWER_OF_ALPHA, "alpha^4 for alpha^2 in the trace", lambda p: _trace(p.fisher_with(p.covariance, 4))),
    (Fault.POWER_OF_SIGMA, "sigma^2 for sigma^4 in the trace", lambda p: _trace(p.fisher_with(p.covariance, 2, 2))),
    (Fault.POWER_OF_SIGMA, "sigma^3 for sigma^4 in the trace", lambda p: _trace(p.fisher_with(p.covariance, 2, 3))),
    (Fault.POWER_OF_SIGMA, "the trace times sigma", lambda p: p.sigma * _trace(p.fisher)),
    (Fault.POWER_OF_SIGMA, "the trace over sigma", lambda p: _trace(p.fisher) / p.sigma),
    (Fault.POWER_OF_SIGMA, "the trace times sigma^2", lambda p: p.sigma**2 * _trace(p.fisher)),
    (Fault.DIAGONAL, "the sum of all entries of F for its trace", lambda p: p.fisher.sum(axis=(1, 2))),
    (Fault.DIAGONAL, "the norm of F for its trace", lambda p: _norms(p.fisher)),
    (Fault.DIAGONAL, "the first entry of F for its trace", lambda p: p.fisher[:, 0, 0]),
    (Fault.BATCH, "the mean trace of the batch", lambda p: np.full(len(p.x), _trace(p.fisher).mean())),
    (Fault.BATCH, "the sum of the traces of the batch", lambda p: np.full(len(p.x), _trace(p.fisher).sum())),
    (Fault.PREDICTION_TYPE, "|score|^2 for the trace", lambda p: (p.score**2).sum(axis=1)),
    (Fault.POWER_OF_G, "g for g^2 before the trace", lambda p: _trace(p.fisher) / math.sqrt(p.g2)),
)


def _printed(p: Place) -> Array:
    head = _trace(p.second_moment) / p.dimension
    square = (p.mean**2).sum(axis=1)
    return np.asarray(p.dimension * (1 / p.sigma**2 - p.alpha**2 / p.sigma**4 * (head - square)))


def _all_rates(p: Place) -> list[Array]:
    return right_rates(p) + [p.g2 / 2 * trace(p) for _, _, trace in _TRACES]


def _whole(case: FlowCase) -> tuple[Arrival, Array, Array]:
    """Return the right flow, and the integrals of ``f d`` and of the trace."""
    arrival = case.follow("right", rates=_all_rates)
    return arrival, arrival.integrals[0], arrival.integrals[1]


def _prior(case: FlowCase, x: Array) -> Array:
    return prior(case.t, x, case.t.end.sigma**2)


def _integral(drift: float, trace: float) -> Callable[[FlowCase], Array]:
    def answer(case: FlowCase) -> Array:
        arrival, f, t = _whole(case)
        return _prior(case, arrival.x) + drift * f + trace * t

    return answer


def _by_dimension(case: FlowCase, drift: bool) -> Array | None:
    if case.t.dimension == 1:
        return None
    arrival, f, t = _whole(case)
    d = case.t.dimension
    return _prior(case, arrival.x) + (f / d + t if drift else f + t / d)


def _with_prior(density: Callable[[FlowCase, Array], Array]) -> Callable[[FlowCase], Array]:
    def answer(case: FlowCase) -> Array:
        arrival, f, t = _whole(case)
        return density(case, arrival.x) + f + t

    return answer


def _with_trace(index: int) -> Callable[[FlowCase], Array]:
    def answer(case: FlowCase) -> Array:
        arrival, f, _ = _whole(case)
        return _prior(case, arrival.x) + f + arrival.integrals[2 + index]

    return answer


def _along(key: str, **options: object) -> Callable[[FlowCase], Array]:
    """Return the answer along another flow."""

    def answer(case: FlowCase) -> Array:
        arrival = case.follow(key, rates=right_rates, **options)
        return np.asarray(_prior(case, arrival.x) + sum(arrival.integrals))

    return answer


def _seen(view: View, key: str, flow: bool) -> Callable[[FlowCase], Array]:
    """Return the answer whose trace sees the data otherwise, or whose trace alone does not."""

    def rates(p: Place, case: FlowCase) -> list[Array]:
        other = place_at(case.t, p.x, p.t, RIGHT if flow else view)
        return [np.full(len(p.x), p.f * p.dimension), p.g2 / 2 * _trace(other.fisher)]

    def answer(case: FlowCase) -> Array:
        chosen = view if flow else RIGHT
        arrival = case.follow((key, flow, "trace"), view=chosen, rates=functools.partial(rates, case=case))
        return np.asarray(_prior(case, arrival.x) + sum(arrival.integrals))

    return answer


def _still(where: str) -> Callable[[FlowCase], Array]:
    """Return the answer for a point that stays."""

    def answer(case: FlowCase) -> Array:
        start = case.t.x if where == "start" else case.end
        arrival = case.follow(("still", where), rates=right_rates, move=lambda p: 0 * p.x, start=start)
        return np.asarray(_prior(case, start if where == "start" else case.end) + sum(arrival.integrals))

    return answer


def _swapped(case: FlowCase) -> Array:
    arrival = case.follow("swapped", rates=right_rates, ends=(case.t.t_end, case.t.t_start))
    return np.asarray(prior(case.t, arrival.x, case.t.start.sigma**2) + sum(arrival.integrals))


def _paced(case: FlowCase) -> Array:
    pace = 1 / (case.t.t_end - case.t.t_start)
    arrival = case.follow("paced", rates=right_rates, pace=pace)
    return np.asarray(_prior(case, arrival.x) + sum(arrival.integrals))


def _normaliser(case: FlowCase) -> float:
    return case.t.dimension / 2 * math.log(2 * math.pi * case.t.end.sigma**2)


def _square(case: FlowCase, x: Array) -> Array:
    return np.asarray((x**2).sum(axis=1) / case.t.end.sigma**2)


def _density(case: FlowCase, x: Array) -> Array:
    return np.asarray(case.t.law.log_density(x, *case.t.end), dtype=np.float64)


_PRIORS: tuple[tuple[str, Callable[[FlowCase, Array], Array]], ...] = (
    ("without a prior", lambda c, x: np.zeros(len(x))),
    ("with a prior of unit variance", lambda c, x: prior(c.t, x, 1.0)),
    ("with sigma for sigma^2 in the prior", lambda c, x: prior(c.t, x, c.t.end.sigma)),
    ("with the exact density at the end for the prior", _density),
    ("without 2 pi in the prior", lambda c, x: _prior(c, x) + c.t.dimension / 2 * math.log(2 * math.pi)),
    ("without the prior's normaliser", lambda c, x: -_square(c, x) / 2),
    ("without sigma in the prior's normaliser", lambda c, x: _prior(c, x) + c.t.dimension * math.log(c.t.end.sigma)),
    ("without d in the prior's normaliser", lambda c, x: -_square(c, x) / 2 - _normaliser(c) / c.t.dimension),
    ("without 1/2 before the prior's square", lambda c, x: -_square(c, x) - _normaliser(c)),
    ("without 1/2 before the prior's normaliser", lambda c, x: -_square(c, x) / 2 - 2 * _normaliser(c)),
    ("with the wrong sign of the prior's normaliser", lambda c, x: -_square(c, x) / 2 + _normaliser(c)),
    ("with the wrong sign of the prior", lambda c, x: -_prior(c, x)),
    ("with the prior at the start", lambda c, x: _prior(c, c.t.x)),
    ("with the start's sigma in the prior", lambda c, x: prior(c.t, x, c.t.start.sigma**2)),
    ("with the start's point and sigma in the prior", lambda c, x: prior(c.t, c.t.x, c.t.start.sigma**2)),
    ("with variance alpha^2 + sigma^2 in the prior", lambda c, x: prior(c.t, x, c.t.end.sigma**2 + c.t.end.alpha**2)),
    ("with variance 1 - alpha^2 in the prior", lambda c, x: prior(c.t, x, abs(1 - c.t.end.alpha**2) + 1e-12)),
    ("with sigma^4 for sigma^2 in the prior", lambda c, x: prior(c.t, x, c.t.end.sigma**4)),
    ("with the prior divided by d", lambda c, x: _prior(c, x) / c.t.dimension),
)

_COEFFICIENTS: tuple[tuple[Fault, str, float, float], ...] = (
    (Fault.SIGN, "with the wrong sign of the integral", -1, -1),
    (Fault.TERM_DROPPED, "without the integral", 0, 0),
    (Fault.SIGN, "with the wrong sign of the trace", 1, -1),
    (Fault.TERM_DROPPED, "without the trace", 1, 0),
    (Fault.CONSTANT, "with g^2 for g^2/2 before the trace", 1, 2),
    (Fault.CONSTANT, "with g^2/4 for g^2/2 before the trace", 1, 0.5),
    (Fault.SIGN, "with the wrong sign of f d", -1, 1),
    (Fault.TERM_DROPPED, "without f d", 0, 1),
    (Fault.TERM_DOUBLED, "with 2 f d for f d", 2, 1),
    (Fault.CONSTANT, "with f d / 2 for f d", 0.5, 1),
    (Fault.TERM_DOUBLED, "with the integral twice", 2, 2),
    (Fault.CONSTANT, "with half of the integral", 0.5, 0.5),
)

_UNITS: tuple[tuple[Fault, str, Callable[[FlowCase], float]], ...] = (
    (Fault.SIGN, "is the negative log-likelihood", lambda c: -1.0),
    (Fault.UNIT, "is in bits", lambda c: 1 / math.log(2)),
    (Fault.UNIT, "is in bits per dimension, with the sign of a loss", lambda c: -1 / (c.t.dimension * math.log(2))),
    (Fault.UNIT, "is in bits per dimension", lambda c: 1 / (c.t.dimension * math.log(2))),
    (Fault.UNIT, "is in bits, with the sign of a loss", lambda c: -1 / math.log(2)),
    (Fault.UNIT, "is in nats per dimension", lambda c: 1 / c.t.dimension),
    (Fault.UNIT, "is in nats per dimension, with the sign of a loss", lambda c: -1 / c.t.dimension),
    (Fault.UNIT, "is in decimal digits", lambda c: 1 / math.log(10)),
)


def _scaled(factor: Callable[[FlowCase], float]) -> Callable[[FlowCase], Array]:
    return lambda case: factor(case) * case.right


def hypotheses() -> Iterator[Hypothesis]:
    """Yield what a likelihood may be instead, the likelier first."""
    for fault, words, factor in _UNITS:
        yield Hypothesis(fault, words, _scaled(factor))
    for fault, words, drift, trace in _COEFFICIENTS:
        yield Hypothesis(fault, f"is the likelihood {words}", _integral(drift, trace))
    yield Hypothesis(Fault.ONE_OVER_D, "is the likelihood with f for f d", lambda c: _by_dimension(c, True))
    yield Hypothesis(Fault.ONE_OVER_D, "is the likelihood with tr F / d for tr F", lambda c: _by_dimension(c, False))
    for words, density in _PRIORS:
        yield Hypothesis(Fault.PRIOR, f"is the likelihood {words}", _with_prior(density))
    for index, (fault, words, _) in enumerate(_TRACES):
        yield Hypothesis(fault, f"is the likelihood with {words}", _with_trace(index))
    for fault, words, move in MOVES:
        yield Hypothesis(fault, f"is the likelihood with {words}", _along(words, move=move))
    for fault, words, view in VIEWS:
        yield Hypothesis(fault, f"is the likelihood with {words}", _along(words, view=view))
        yield Hypothesis(fault, f"is the likelihood with {words} in the trace alone", _seen(view, words, False))
        yield Hypothesis(fault, f"is the likelihood with {words} in the flow alone", _seen(view, words, True))
    fixed = "is the likelihood with the trace where the point stays, eq. 14 as a partial derivative"
    yield Hypothesis(Fault.FROZEN, fixed, _still("start"))
    yield Hypothesis(Fault.FROZEN, "is the likelihood with the trace at the end of the trajectory", _still("end"))
    yield Hypothesis(Fault.ENDS, "is the likelihood from the end to the start", _swapped)
    yield Hypothesis(Fault.STEPS, "is the likelihood with steps of 1/num_steps, whatever the times", _paced)
