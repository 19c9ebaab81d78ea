"""Answers that are wrong in other ways than by a term or an input: unnormalised, mixed up, differenced, batched."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from afi_properties.claims.mistakes import per_point
from afi_properties.diagnosis.changed_inputs import Hypothesis
from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.diagnosis.explanation import Explanation, Fault
from afi_properties.diagnosis.terms import SHAPES
from afi_properties.inputs import Inputs
from afi_properties.problem import Array
from afi_reference.dirac import DiracMixture
from afi_reference.gaussian import GaussianMixture, gaussian


def other_answers() -> Iterator[Hypothesis]:
    """Yield hypotheses, the likeliest first."""
    yield from _mixed_up()
    yield Explanation(Fault.COVARIANCES, "equals the truth with I/σ² for the components' precisions"), _no_precisions
    yield from _masses()
    yield from _mini_batches()
    yield from _differences()


def _mixed_up() -> Iterator[Hypothesis]:
    def rearranged(change: Callable[[Array], Array]) -> Callable[[Exhibit], Array | None]:
        return lambda exhibit: change(exhibit.truth.answer) if len(exhibit.answer) > 1 else None

    changes: list[tuple[str, Callable[[Array], Array]]] = [
        ("is the sum over the batch", lambda a: np.broadcast_to(a.sum(axis=0), a.shape)),
        ("is the mean over the batch", lambda a: np.broadcast_to(a.mean(axis=0), a.shape)),
        ("is the largest of the batch", lambda a: np.broadcast_to(a.max(axis=0), a.shape)),
        ("is that of the first point for all", lambda a: np.broadcast_to(a[0], a.shape)),
        ("is that of the last point for all", lambda a: np.broadcast_to(a[-1], a.shape)),
        ("is in the reverse order of the batch", lambda a: a[::-1]),
        ("is that of the next point of the batch", lambda a: np.roll(a, -1, axis=0)),
        ("is that of the previous point of the batch", lambda a: np.roll(a, 1, axis=0)),
    ]
    for words, change in changes:
        yield Explanation(Fault.BATCH, words), rearranged(change)

    def diagonal(exhibit: Exhibit) -> Array | None:
        answer = exhibit.truth.answer
        return answer * np.eye(answer.shape[1]) if answer.ndim == 3 and answer.shape[1] > 1 else None

    yield Explanation(Fault.DIAGONAL, "is the truth's diagonal alone"), diagonal


def _no_precisions(exhibit: Exhibit) -> Array | None:
    """Return ``I / sigma^2`` minus the posterior covariance of the components' scores."""
    i, role = exhibit.inputs, exhibit.claim.role
    if not isinstance(i.law, GaussianMixture) or role not in SHAPES:
        return None
    diffused = i.alpha[:, None, None, None] ** 2 * i.law.covariances
    diffused = diffused + (i.sigma**2)[:, None, None, None] * np.eye(i.dimension)
    precisions = np.linalg.inv(diffused.astype(np.float64))  # (B, K, d, d)
    weights = np.exp(_log_responsibilities(i.law, i)).astype(np.float64)
    mean = np.einsum("bk,bkij->bij", weights, precisions)
    excess = mean - np.eye(i.dimension) / (i.sigma**2)[:, None, None]
    parts = {
        "fisher": lambda: excess,
        "fisher_vector_product": lambda: np.einsum("bij,bj->bi", excess, i.v),
        "fisher_trace": lambda: np.trace(excess, axis1=1, axis2=2),
    }
    return exhibit.truth.answer - parts[role]() if role in parts else None


def _log_responsibilities(law: GaussianMixture, i: Inputs) -> Array:
    """Return the logarithms of the components' posterior probabilities, (B, K)."""
    count = len(law.means)
    assert law.weights is not None
    components = [gaussian(law.means[k], law.covariances[k]) for k in range(count)]
    logs = np.stack([c.log_density(i.x, i.alpha, i.sigma) for c in components], axis=1)
    return np.asarray(logs + np.log(law.weights) - law.log_density(i.x, i.alpha, i.sigma)[:, None])


def _masses() -> Iterator[Hypothesis]:
    """Yield answers for weights whose sum is not 1: every moment is too large or too small by that sum."""

    def scaled(mass: Callable[[Exhibit], Array], powers: tuple[int, int]) -> Callable[[Exhibit], Array | None]:
        def predicted(exhibit: Exhibit) -> Array | None:
            i, role = exhibit.inputs, exhibit.claim.role
            if not isinstance(i.law, DiracMixture) or i.skew is not None:
                return None
            m = mass(exhibit)
            mean = i.law.posterior_mean(i.x, i.alpha, i.sigma)
            if role == "posterior_mean":
                return per_point(m, mean)
            if role == "score":
                return per_point(-(i.sigma**-2), i.x - per_point(i.alpha * m, mean))
            if role not in SHAPES:
                return None
            shape = SHAPES[role]
            factor = (i.alpha / i.sigma**2) ** 2
            identity, square = per_point(i.sigma**-2, shape.identity(i)), per_point(factor, shape.outer(i, mean))
            second = identity - exhibit.truth.answer + square
            return identity - per_point(m ** powers[0], second) + per_point(m ** powers[1], square)

        return predicted

    sums: list[tuple[str, Callable[[Exhibit], Array]]] = [
        ("the weights' sum is not divided by", _evidence),
        ("the sum of the weights relative to the largest is not divided by", _relative_evidence),
    ]
    for words, mass in sums:
        for powers in ((1, 2), (1, 1), (1, 0), (0, 1), (0, 2)):
            yield Explanation(Fault.WEIGHTS_UNNORMALISED, f"is the truth if {words}"), scaled(mass, powers)
    for small in (10.0**-k for k in range(1, 17)):
        for mass in (_evidence, _relative_evidence, _counted_evidence):
            damped = _damped(mass, small)
            sentence = f"equals the truth with {small:g} added to the sum of the weights"
            yield Explanation(Fault.EPSILON, sentence), scaled(damped, (1, 2))


def _damped(mass: Callable[[Exhibit], Array], small: float) -> Callable[[Exhibit], Array]:
    def damped(exhibit: Exhibit) -> Array:
        total = mass(exhibit)
        return np.asarray(total / (total + small))

    return damped


def _evidence(exhibit: Exhibit) -> Array:
    i = exhibit.inputs
    half_d = i.dimension / 2
    return np.exp(i.law.log_density(i.x, i.alpha, i.sigma) + half_d * np.log(2 * np.pi * i.sigma**2))


def _counted_evidence(exhibit: Exhibit) -> Array:
    return exhibit.problem.atoms * _evidence(exhibit)


def _relative_evidence(exhibit: Exhibit) -> Array:
    i = exhibit.inputs
    assert isinstance(i.law, DiracMixture)
    posterior = i.law.posterior_weights(i.x, i.alpha, i.sigma)
    return np.asarray(1 / posterior.max(axis=1))


def _mini_batches() -> Iterator[Hypothesis]:
    """Yield means over mini-batches of atoms, averaged as if the last were full."""

    def averaged(size: int) -> Callable[[Exhibit], Array | None]:
        def predicted(exhibit: Exhibit) -> Array | None:
            i = exhibit.inputs
            if not isinstance(i.law, DiracMixture) or i.law.weights is None or exhibit.problem.atoms % size == 0:
                return None
            count = exhibit.problem.atoms
            batches = -(-count // size)
            last = count - (batches - 1) * size
            weights = np.full(count, 1 / (batches * size))
            weights[-last:] = 1 / (batches * last)
            prior = i.law.weights * weights * count
            return _with_prior(exhibit, prior / prior.sum())

        return predicted

    for size in (2, 3, 4, 5, 8, 10, 16, 32, 50, 64, 100, 128, 250, 256, 500, 512, 1000, 1024):
        sentence = f"equals the truth with the last mini-batch of {size} atoms weighing as much as a full one"
        yield Explanation(Fault.MINIBATCH, sentence), averaged(size)


def _with_prior(exhibit: Exhibit, weights: Array) -> Array:
    law = dataclasses.replace(exhibit.inputs.law, weights=weights)
    return exhibit.claim.truth(dataclasses.replace(exhibit.inputs, law=law))


def _differences() -> Iterator[Hypothesis]:
    """Yield derivatives of epsilon by a step of fixed size."""

    def by_step(step: float, *, central: bool) -> Callable[[Exhibit], Array | None]:
        def predicted(exhibit: Exhibit) -> Array | None:
            i, role = exhibit.inputs, exhibit.claim.role
            if exhibit.claim.answer != "point" or role not in SHAPES or role.endswith("endpoint"):
                return None

            def eps(x: Array) -> Array:
                if i.skew is not None:
                    return i.skew.value(x, i.sigma)
                return per_point(-i.sigma, i.law.score(x, i.alpha, i.sigma))

            ahead = eps(i.x + step * i.v)
            change = (ahead - eps(i.x - step * i.v)) / 2 if central else ahead - eps(i.x)
            return per_point(1 / (step * i.sigma), change)

        return predicted

    for power in range(1, 9):
        for central in (False, True):
            sentence = f"equals the {'central' if central else 'forward'} difference with a step of 1e-{power}"
            yield Explanation(Fault.STEP, sentence), by_step(10.0**-power, central=central)
