"""The diffused density and its score: eq. 10, Lemmas 1 and 3, eq. 27 and 35, Tweedie's formula."""

import sympy
from sympy import ImmutableMatrix

from afi_reference.symbolic.algebra import gradient
from afi_reference.symbolic.data import (
    ALPHA,
    ANY_DENSITY,
    ANY_DIMENSION,
    ANY_DIRACS,
    INDEX,
    SIGMA,
    Data,
    N,
    diracs,
    general,
)
from afi_reference.symbolic.derivation import Derivation, derive


def eq_10(*, first: int = 1) -> Derivation:
    """Derive the total mass of the empirical distribution."""

    def claimed(first: int) -> sympy.Expr:
        return sympy.Sum(1 / N, (INDEX, first, N)).doit()

    return derive(
        "eq-10",
        "the empirical distribution has mass one",
        sympy.S.One,
        claimed(first),
        printed=claimed(0),
        erratum="Eq. 10 sums over i = 0, ..., N with weights 1/N: N + 1 atoms of total mass (N + 1)/N.",
        latex=r"q_0 = \frac{1}{N} \sum_{i=1}^N \delta(x - y_i)",
        generality="any N",
    )


def lemma_1(*, alpha_power: int = 1, sigma_power: int = 2) -> Derivation:
    """Derive the gradient of the kernel of one atom (eq. 23)."""
    return _kernel_gradient("lemma-1", diracs(), "v_i", "y_i", alpha_power, sigma_power)


def lemma_3(*, alpha_power: int = 1, sigma_power: int = 2) -> Derivation:
    """Derive the gradient of the kernel as a function of the data point (eq. 31)."""
    return _kernel_gradient("lemma-3", general(), "v(y)", "y", alpha_power, sigma_power)


def eq_27(*, alpha_power: int = 1, sigma_power: int = 2) -> Derivation:
    """Derive the score of diffused Diracs."""
    return _score("eq-27", diracs(), ANY_DIRACS, r"\sum_i w_i y_i", alpha_power, sigma_power)


def eq_35(*, alpha_power: int = 1, sigma_power: int = 2) -> Derivation:
    """Derive the score of any diffused distribution."""
    mean = r"\int w(y)\, y \,\mathrm{d}q_0"
    return _score("eq-35", general(), ANY_DENSITY, mean, alpha_power, sigma_power)


def tweedie(*, alpha_power: int = 1, sigma_power: int = 2) -> Derivation:
    """Derive the posterior mean from the score (eq. 27 and 35 solved for the mean)."""
    data = general()
    x = ImmutableMatrix(data.x)
    return derive(
        "tweedie",
        "the posterior mean is an affine function of the score",
        data.mean(),
        (x + SIGMA**sigma_power * data.score()) / ALPHA**alpha_power,
        latex=r"E[x_0 \mid x_t] = \frac{x_t + \sigma_t^2 \nabla\log q_t(x_t)}{\alpha_t}",
        generality=f"{ANY_DENSITY}; {ANY_DIMENSION}",
    )


def _kernel_gradient(label: str, data: Data, name: str, point: str, alpha_power: int, sigma_power: int) -> Derivation:
    claimed = [
        -(a - ALPHA**alpha_power * b) / SIGMA**sigma_power * data.kernel for a, b in zip(data.x, data.y, strict=True)
    ]
    return derive(
        label,
        "the gradient of the transition kernel",
        gradient(data.kernel, data.x),
        ImmutableMatrix(claimed),
        latex=rf"\nabla {name} = -\frac{{1}}{{\sigma_t^2}} (x_t - \alpha_t {point})\, {name}",
        generality="any data point; any d (two coordinates stand for all, the others are a constant factor)",
    )


def _score(label: str, data: Data, generality: str, mean: str, alpha_power: int, sigma_power: int) -> Derivation:
    return derive(
        label,
        "the score by the posterior mean",
        data.score(),
        -(ImmutableMatrix(data.x) - ALPHA**alpha_power * data.mean()) / SIGMA**sigma_power,
        latex=rf"\nabla\log q_t(x_t) = -\frac{{1}}{{\sigma_t^2}} \left[x_t - \alpha_t {mean}\right]",
        generality=f"{generality}; {ANY_DIMENSION}",
    )
