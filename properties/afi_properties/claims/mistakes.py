"""Wrong formulas that several claims have in common.

The Fisher matrix, its operator and its trace are all ``identity / sigma^2 - (alpha / sigma^2)^2 covariance``,
so the ways to get them wrong are the same; each role says what its terms are. Wrong weights are wrong
everywhere.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from afi_properties.claim import Formula
from afi_properties.inputs import Inputs
from afi_properties.problem import Array
from afi_reference.dirac import DiracMixture
from afi_reference.gaussian import GaussianMixture

Answer = Callable[[Inputs], Array]


def has_covariance(i: Inputs) -> bool:
    """Whether the posterior may be more than one point: else no term of its covariance can be wrong."""
    return isinstance(i.law, GaussianMixture) or bool((i.law.atoms != i.law.atoms[0]).any())


def unless_one(values: Callable[[Inputs], Array], formula: Formula) -> Formula:
    """Return ``formula``, or nothing where ``values`` are all 1: their powers are then the same."""
    return lambda i, right: None if (values(i) == 1).all() else formula(i, right)


def alpha_of(i: Inputs) -> Array:
    """Return alpha, (B,)."""
    return i.alpha


def sigma_of(i: Inputs) -> Array:
    """Return sigma, (B,)."""
    return i.sigma


def times(factor: Callable[[Inputs], Array | float]) -> Formula:
    """Return the formula that is the truth times ``factor``."""
    return lambda i, right: per_point(np.broadcast_to(factor(i), len(right)), right)


def if_spread(formula: Formula) -> Formula:
    """Return ``formula``, or nothing where the posterior is one point whatever the noise level and the weights."""
    return lambda i, right: formula(i, right) if has_covariance(i) else None


def level_mistakes(truth: Answer) -> dict[str, Formula]:
    """Return the formulas that are right but for the noise level they take: mistakes of ``alphas_cumprod``."""
    return {
        "alpha^2 for alpha": unless_one(
            alpha_of, lambda i, right: truth(dataclasses.replace(_quick(i), alpha=_quick(i).alpha ** 2))
        ),
        "sigma^2 for sigma": unless_one(
            sigma_of, lambda i, right: truth(dataclasses.replace(_quick(i), sigma=_quick(i).sigma ** 2))
        ),
    }


def weight_mistakes(truth: Answer, family: str) -> dict[str, Formula]:
    """Return the formulas that are right but for the weights of the atoms or components of ``family``."""

    def with_law(i: Inputs, **changes: object) -> Array:
        return truth(dataclasses.replace(_quick(i), law=dataclasses.replace(i.law, **changes)))  # type: ignore[arg-type]

    def prior_ignored(i: Inputs, right: Array) -> Array | None:
        return None if _weights_are_equal(i) else with_law(i, weights=None)

    def distances_ignored(i: Inputs, right: Array) -> Array | None:
        # Distances of zero leave the prior weights as the posterior.
        return with_law(i, round_distances=np.zeros_like) if _count(i) > 1 else None

    def uniform(i: Inputs, right: Array) -> Array | None:
        return None if _weights_are_equal(i) else with_law(i, round_distances=np.zeros_like, weights=None)

    def log_determinant_omitted(i: Inputs, right: Array) -> Array | None:
        assert isinstance(i.law, GaussianMixture)
        if _count(i) == 1:
            return None
        quick = _quick(i)
        answers = []
        one_level = np.ptp(quick.alpha) == np.ptp(quick.sigma) == 0
        levels: Sequence[int | slice] = [slice(None)] if one_level else range(len(quick.x))
        for points in levels:  # noise levels may differ, and with them the determinants
            one = _only(quick, points)
            identity = np.eye(i.dimension)
            diffused = one.alpha[0] ** 2 * i.law.covariances + one.sigma[0] ** 2 * identity
            log_determinants = np.linalg.slogdet(diffused.astype(np.float64))[1]
            if np.ptp(log_determinants) == 0:
                return None
            logits = np.log(np.asarray(i.law.weights, dtype=np.float64)) + log_determinants / 2
            weights = np.exp(logits - logits.max())
            law = dataclasses.replace(i.law, weights=weights / weights.sum())
            answers.append(truth(dataclasses.replace(one, law=law)))
        return np.concatenate(answers)

    def component_covariances_ignored(i: Inputs, right: Array) -> Array | None:
        assert isinstance(i.law, GaussianMixture)
        if not i.law.covariances.any():
            return None
        return truth(dataclasses.replace(_quick(i), law=DiracMixture(i.law.means, i.law.weights)))

    common = {
        "prior weights ignored": if_spread(prior_ignored),
        "distances ignored in the weights": if_spread(distances_ignored),
        "uniform posterior weights": if_spread(uniform),
    }
    if family == "dirac":
        return common
    return common | {
        "log-determinant omitted": log_determinant_omitted,
        "component covariances ignored": component_covariances_ignored,
    }


def normaliser(i: Inputs) -> Array:
    """Return the sum of ``w_i exp(-|x - alpha y_i|^2 / (2 sigma^2))``, (B,), which unnormalised weights lack."""
    quick = _quick(i)
    log_density = quick.law.log_density(quick.x, quick.alpha, quick.sigma)
    return np.asarray(np.exp(log_density + i.dimension / 2 * np.log(2 * np.pi * quick.sigma**2)))


_SMALL_SAMPLE = 4
"""Up to so many atoms ``N / (N - 1)`` is far from 1, whatever the precision."""


def fisher_mistakes(
    truth: Answer, identity: Answer, outer_product: Callable[[Inputs, Array], Array], family: str
) -> dict[str, Formula]:
    """Return the wrong formulas of a role whose answer is linear in the Fisher matrix.

    Parameters
    ----------
    truth
        The role's answer.
    identity
        The role's answer if the Fisher matrix were the identity.
    outer_product
        The role's answer if the Fisher matrix were ``m m^T``, for ``m`` of shape (B, d).
    family
        ``"dirac"`` or ``"gaussian-mixture"``.
    """

    def isotropic(i: Inputs) -> Array:
        return per_point(i.sigma**-2, identity(i))

    def true_factor(i: Inputs) -> Array:
        return (i.alpha / i.sigma**2) ** 2

    def covariance(i: Inputs, right: Array) -> Array:
        # Solves the claim for the covariance. Digits lost do not matter: a margin is an order of magnitude.
        return per_point(1 / true_factor(i), isotropic(i) - right)

    def with_factor(factor: Callable[[Inputs], Array]) -> Formula:
        return if_spread(lambda i, right: isotropic(i) - per_point(factor(i), covariance(i, right)))

    def of_a_small_sample(i: Inputs, right: Array) -> Array | None:
        count = _count(i)
        if not 1 < count <= _SMALL_SAMPLE:
            return None
        return with_factor(lambda i: count / (count - 1) * true_factor(i))(i, right)

    def mean_square(i: Inputs) -> Array:
        quick = _quick(i)
        return outer_product(i, quick.law.posterior_mean(quick.x, quick.alpha, quick.sigma))

    def with_mean_square(count: int) -> Formula:
        return lambda i, right: right - per_point(count * true_factor(i), mean_square(i))

    def unnormalised(i: Inputs, right: Array) -> Array:
        total = normaliser(i)
        moments = per_point(total, covariance(i, right)) + per_point(total * (1 - total), mean_square(i))
        return isotropic(i) - per_point(true_factor(i), moments)

    of_family: dict[str, Formula] = {}
    if family == "dirac":
        of_family["covariance of a sample, over N - 1"] = of_a_small_sample
        of_family["posterior weights not normalised"] = unnormalised
    return {
        "covariance term dropped": with_factor(lambda i: np.zeros_like(i.alpha)),
        "covariance term doubled": with_factor(lambda i: 2 * true_factor(i)),
        "sign of the covariance term": with_factor(lambda i: -true_factor(i)),
        "sigma^3 for sigma^4": unless_one(sigma_of, with_factor(lambda i: i.alpha**2 / i.sigma**3)),
        "sigma^2 for sigma^4": unless_one(sigma_of, with_factor(lambda i: (i.alpha / i.sigma) ** 2)),
        "alpha for alpha^2": unless_one(alpha_of, with_factor(lambda i: i.alpha / i.sigma**4)),
        "alpha^4 for alpha^2": unless_one(alpha_of, with_factor(lambda i: (i.alpha / i.sigma) ** 4)),
        "identity term dropped": lambda i, right: right - isotropic(i),
        "identity over sigma": unless_one(
            sigma_of, lambda i, right: right + per_point(1 / i.sigma - i.sigma**-2, identity(i))
        ),
        "rank-one term dropped": with_mean_square(1),
        "sign of the rank-one term": with_mean_square(2),
        "sign": times(lambda i: -1.0),
        "times sigma": unless_one(sigma_of, times(sigma_of)),
        # Without a covariance the answer does not depend on alpha.
        **{name: if_spread(formula) for name, formula in level_mistakes(truth).items()},
        **of_family,
        **weight_mistakes(truth, family),
    }


def _quick(i: Inputs) -> Inputs:
    """Return the inputs in float64: enough to see that a law is another one, and faster than longdouble."""
    return i.in_dtype(np.float64)


def _only(i: Inputs, points: int | slice) -> Inputs:
    """Return the inputs of some points of a batch."""
    chosen = slice(points, points + 1) if isinstance(points, int) else points
    numbers = {name: getattr(i, name) for name in ("x", "alpha", "sigma", "v", "x0", "handed_eps", "handed_head")}
    return dataclasses.replace(i, **{n: value[chosen] for n, value in numbers.items() if value is not None})


def _count(i: Inputs) -> int:
    return len(i.law.atoms if isinstance(i.law, DiracMixture) else i.law.means)


def _weights_are_equal(i: Inputs) -> bool:
    assert i.law.weights is not None
    return bool((i.law.weights == i.law.weights[0]).all())


def per_point(factor: Array, answer: Array) -> Array:
    """Multiply each point's answer (B, ...) by its factor (B,)."""
    return factor.reshape(-1, *[1] * (answer.ndim - 1)) * answer
