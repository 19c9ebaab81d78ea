"""Gaussian mixtures whose components' weights or covariances are wrong."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from afi_properties.claims.mistakes import per_point
from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.diagnosis.explanation import Explanation, Fault
from afi_properties.diagnosis.hypotheses.hypothesis import Hypothesis, NotTriedError, Predict, each_point
from afi_properties.diagnosis.terms import SHAPES, apply_matrix, log_responsibilities, mean_precision
from afi_properties.inputs import Inputs
from afi_properties.problem import Array
from afi_reference.gaussian import GaussianMixture

Covariances = Callable[[Array, Inputs], Array]
"""Takes the components' covariances (K, d, d), at one noise level, to what stands in their place."""


def hypotheses() -> Iterator[Hypothesis]:
    """Yield hypotheses about components."""
    for words, power in (
        ("without the log-determinants in the weights", 0.5),
        ("with the log-determinants doubled in the weights", -0.5),
        ("with the sign of the log-determinants changed", 1.0),
    ):
        yield Explanation(Fault.LOG_DETERMINANT, f"equals the truth {words}"), _weighted(_determinants(power))
    words = "equals the truth with determinants of the data's covariances for the diffused ones"
    yield Explanation(Fault.LOG_DETERMINANT, words), _weighted(_undiffused_determinants)
    words = "equals the truth with the prior weights of the components for the posterior ones"
    yield Explanation(Fault.WEIGHTS_WRONG, words), _prior_for_posterior
    yield Explanation(Fault.TRUNCATED, "equals the answer for the likeliest component alone"), _likeliest
    for fault, words, change in _COVARIANCES:
        yield Explanation(fault, f"equals the truth {words}"), _with_covariances(change)
    for words, mean in _MEANS:
        yield Explanation(Fault.POWER_OF_ALPHA, f"equals the truth {words}"), _with_means(mean)
    yield Explanation(Fault.COVARIANCES, "equals the truth with I/σ² for the components' precisions"), _no_precisions
    yield Explanation(Fault.COVARIANCES, "equals the posterior mean of the components' means"), _mean_of_means
    yield (
        Explanation(Fault.TRANSPOSED, "equals the truth with the eigenvectors' transposes"),
        _with_covariances(_transposed),
    )
    yield Explanation(Fault.COVARIANCES, "equals d² over the trace for the trace of the precision"), _inverse_of_trace


def _of_mixtures(predict: Callable[[Exhibit, GaussianMixture], Array]) -> Predict:
    def predicted(exhibit: Exhibit) -> Array | None:
        law = exhibit.inputs.law
        return predict(exhibit, law) if isinstance(law, GaussianMixture) else None

    return predicted


def _with_covariances(change: Covariances) -> Predict:
    def changed(i: Inputs) -> Inputs:
        assert isinstance(i.law, GaussianMixture)
        covariances = np.asarray(change(i.law.covariances.astype(np.float64), i), dtype=np.float64)
        covariances = (covariances + covariances.swapaxes(1, 2)) / 2
        return dataclasses.replace(i, law=dataclasses.replace(i.law, covariances=covariances))

    return _of_mixtures(lambda exhibit, law: each_point(exhibit, changed))


def _with_means(factor: Callable[[Inputs], Array]) -> Predict:
    def changed(i: Inputs) -> Inputs:
        assert isinstance(i.law, GaussianMixture)
        return dataclasses.replace(i, law=dataclasses.replace(i.law, means=i.law.means * factor(i)))

    return _of_mixtures(lambda exhibit, law: each_point(exhibit, changed))


def _weighted(factors: Callable[[Inputs, GaussianMixture], Array]) -> Predict:
    """Return the truth with prior weights times ``exp`` of what ``factors`` returns, shape (K,)."""

    def changed(i: Inputs) -> Inputs:
        assert isinstance(i.law, GaussianMixture)
        assert i.law.weights is not None
        logs = factors(i, i.law)
        weights = i.law.weights * np.exp(logs - logs.max())
        return dataclasses.replace(i, law=dataclasses.replace(i.law, weights=weights / weights.sum()))

    return _of_mixtures(lambda exhibit, law: each_point(exhibit, changed))


def _log_determinants(i: Inputs, law: GaussianMixture, noise: float = 1.0) -> Array:
    diffused = i.alpha[0] ** 2 * law.covariances + noise * i.sigma[0] ** 2 * np.eye(i.dimension)
    logs = np.linalg.slogdet(diffused.astype(np.float64))[1]
    if not np.isfinite(logs).all():
        raise NotTriedError  # code has some guard against that
    return np.asarray(logs)


def _determinants(power: float) -> Callable[[Inputs, GaussianMixture], Array]:
    return lambda i, law: power * _log_determinants(i, law)


def _undiffused_determinants(i: Inputs, law: GaussianMixture) -> Array:
    return (_log_determinants(i, law) - _log_determinants(i, law, noise=0.0)) / 2


def _prior_for_posterior(exhibit: Exhibit) -> Array | None:
    def changed(i: Inputs) -> Inputs:
        assert isinstance(i.law, GaussianMixture)
        assert i.law.weights is not None
        logs = _log_determinants(i, i.law) / 2
        weights = i.law.weights * np.exp(logs - logs.max())
        law = dataclasses.replace(i.law, weights=weights / weights.sum(), round_distances=np.zeros_like)
        return dataclasses.replace(i, law=law)

    return each_point(exhibit, changed) if isinstance(exhibit.inputs.law, GaussianMixture) else None


def _likeliest(exhibit: Exhibit) -> Array | None:
    def changed(i: Inputs) -> Inputs:
        assert isinstance(i.law, GaussianMixture)
        best = int(np.argmax(log_responsibilities(i.law, i)[0]))
        law = GaussianMixture(i.law.means[[best]], i.law.covariances[[best]])
        return dataclasses.replace(i, law=law)

    return each_point(exhibit, changed) if isinstance(exhibit.inputs.law, GaussianMixture) else None


def _no_precisions(exhibit: Exhibit) -> Array | None:
    i, role = exhibit.inputs, exhibit.claim.role
    if not isinstance(i.law, GaussianMixture) or role not in SHAPES:
        return None
    isotropic = per_point(i.sigma**-2, SHAPES[role].identity(i))
    return exhibit.truth.answer - apply_matrix(role, mean_precision(i), i) + isotropic


def _inverse_of_trace(exhibit: Exhibit) -> Array | None:
    i, role = exhibit.inputs, exhibit.claim.role
    if not isinstance(i.law, GaussianMixture) or role != "fisher_trace":
        return None
    traces = np.trace(i.law.covariances, axis1=1, axis2=2).astype(np.float64)
    diffused = i.alpha[:, None] ** 2 * traces + i.sigma[:, None] ** 2 * i.dimension
    weights = np.exp(log_responsibilities(i.law, i))
    wrong = (weights * i.dimension**2 / diffused).sum(axis=1)
    return exhibit.truth.answer - apply_matrix(role, mean_precision(i), i) + wrong


def _mean_of_means(exhibit: Exhibit) -> Array | None:
    i = exhibit.inputs
    if not isinstance(i.law, GaussianMixture) or exhibit.claim.role != "posterior_mean":
        return None
    return np.exp(log_responsibilities(i.law, i)) @ i.law.means


def _transposed(c: Array, i: Inputs) -> Array:
    values, vectors = np.linalg.eigh(c)
    return np.asarray((vectors.swapaxes(1, 2) * values[:, None, :]) @ vectors)


def _squares(c: Array, i: Inputs) -> Array:
    return np.asarray(c @ c)


def _roots(c: Array, i: Inputs) -> Array:
    values, vectors = np.linalg.eigh(c)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))[:, None, :]) @ vectors.swapaxes(1, 2))


def _plus(small: float) -> Covariances:
    return lambda c, i: c + small * np.eye(i.dimension)


_MEANS: tuple[tuple[str, Callable[[Inputs], Array]], ...] = (
    ("with the components' means not multiplied by α", lambda i: 1 / i.alpha[0]),
    ("with the components' means multiplied by α²", lambda i: i.alpha[0]),
)

_COVARIANCES: tuple[tuple[Fault, str, Covariances], ...] = (
    (Fault.COVARIANCES, "without the components' covariances", lambda c, i: np.zeros_like(c)),
    (Fault.STRUCTURE, "with the diagonals of the components' covariances alone", lambda c, i: c * np.eye(i.dimension)),
    (
        Fault.COVARIANCES,
        "with the components' mean covariance for each",
        lambda c, i: np.broadcast_to(c.mean(axis=0), c.shape),
    ),
    (Fault.COVARIANCES, "with the first component's covariance for each", lambda c, i: np.broadcast_to(c[0], c.shape)),
    (
        Fault.STRUCTURE,
        "with isotropic covariances",
        lambda c, i: np.stack([np.trace(m) / len(m) * np.eye(len(m)) for m in c]),
    ),
    (Fault.COVARIANCES, "with the covariances squared", _squares),
    (Fault.COVARIANCES, "with the covariances' roots", _roots),
    (Fault.COVARIANCES, "with the covariances' inverses", lambda c, i: np.linalg.inv(c)),
    (Fault.POWER_OF_ALPHA, "with α for α² before the covariances", lambda c, i: c / i.alpha[0]),
    (Fault.POWER_OF_ALPHA, "without α² before the covariances", lambda c, i: c / i.alpha[0] ** 2),
    (Fault.ALPHA_BAR, "with α⁴ for α² before the covariances", lambda c, i: c * i.alpha[0] ** 2),
    *(
        (Fault.EPSILON, f"with {s:g} on the diagonals of the covariances", _plus(s))
        for s in (10.0**-k for k in range(1, 13))
    ),
)
