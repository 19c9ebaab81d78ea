"""The Fisher information as a posterior covariance: Lemmas 2, 4 and 5, Prop. 1, 3 and 5, eq. 16."""

from dataclasses import replace

import sympy
from sympy import Expr, ImmutableMatrix

from afi_reference.symbolic.algebra import jacobian
from afi_reference.symbolic.data import (
    ALPHA,
    ANY_DENSITY,
    ANY_DIMENSION,
    ANY_DIRACS,
    SIGMA,
    Data,
    diracs,
    general,
)
from afi_reference.symbolic.derivation import Derivation, derive

_EITHER = {
    "diracs": ("Dirac setting", ANY_DIRACS, r"\sum_i w_i y_i", r"\sum_i w_i y_i y_i^\top"),
    "general": (
        "general setting",
        ANY_DENSITY,
        r"\int w(y)\, y \,\mathrm{d}q_0",
        r"\int w(y)\, y y^\top \mathrm{d}q_0",
    ),
}


def lemma_2(*, alpha_power: int = 1, sigma_power: int = 2, outer: int = 1) -> Derivation:
    """Derive the Jacobian of the posterior mean of Diracs (eq. 24)."""
    return _mean_jacobian("lemma-2", diracs(), "diracs", alpha_power, sigma_power, outer)


def lemma_4(*, alpha_power: int = 1, sigma_power: int = 2, outer: int = 1) -> Derivation:
    """Derive the Jacobian of the posterior mean of any initial distribution (eq. 32)."""
    return _mean_jacobian("lemma-4", general(), "general", alpha_power, sigma_power, outer)


def eq_32(*, alpha_power: int = 1, sigma_power: int = 2) -> Derivation:
    """Derive the line of Lemma 4's proof after the terms with the noisy point have cancelled."""
    data = general()

    def claimed(second: Data) -> ImmutableMatrix:
        d, weight = len(data.y), data.mass * data.kernel
        normaliser, factor = data.total(weight), ALPHA**alpha_power / SIGMA**sigma_power
        first = [data.total(weight * y) for y in data.y]
        inner = [second.total(second.mass * second.kernel * y) for y in second.y]
        return ImmutableMatrix(
            d,
            d,
            lambda a, b: (
                factor / normaliser**2 * (normaliser * data.total(weight * data.y[a] * data.y[b]) - first[a] * inner[b])
            ),
        )

    return derive(
        "eq-32",
        "a line of the proof of Lemma 4",
        jacobian(data.mean(), data.x),
        claimed(data),
        printed=claimed(replace(data, mass=sympy.S.One)),
        erratum="The sixth and seventh line of eq. 32 integrate by dy' where dq_0(y') is meant, and the"
        " eighth integrates v(y) y y^T by dq_0(y'). The first and the last line are right.",
        latex=r"\frac{\alpha_t}{\sigma_t^2 Z^2} \int v(y)\, y \left\{y Z"
        r" - \int v(y')\, y' \,\mathrm{d}q_0(y')\right\}^\top \mathrm{d}q_0(y),"
        r"\quad Z = \int v \,\mathrm{d}q_0",
        generality=f"{ANY_DENSITY}; {ANY_DIMENSION}",
    )


def lemma_5(*, power: int = 2) -> Derivation:
    """Derive the trace of an outer product (eq. 39)."""
    d, k = sympy.symbols("d k", integer=True, positive=True)
    v = sympy.MatrixSymbol("v", d, 1)
    return derive(
        "lemma-5",
        "the trace of an outer product is a squared norm",
        sympy.Sum((v * v.T)[k, k], (k, 0, d - 1)),
        sympy.Sum(v[k, 0] ** power, (k, 0, d - 1)),
        latex=r"\operatorname{tr}(v v^\top) = \|v\|^2",
        generality="any vector, any d",
    )


def prop_1(*, alpha_power: int = 2, sigma_power: int = 4, identity_sigma_power: int = 2, outer: int = 1) -> Derivation:
    """Derive the Fisher information of diffused Diracs (eq. 11)."""
    return _fisher("prop-1", diracs(), "diracs", alpha_power, sigma_power, identity_sigma_power, outer)


def prop_3(*, alpha_power: int = 2, sigma_power: int = 4, identity_sigma_power: int = 2, outer: int = 1) -> Derivation:
    """Derive the Fisher information of any diffused distribution (eq. 13)."""
    return _fisher("prop-3", general(), "general", alpha_power, sigma_power, identity_sigma_power, outer)


def prop_5(*, alpha_power: int = 2, sigma_power: int = 4, dimension: int = 1, square: int = 1) -> Derivation:
    """Derive the trace of the Fisher information of diffused Diracs (eq. 16)."""
    return _trace("prop-5", diracs(3), "diracs", alpha_power, sigma_power, dimension, square)


def eq_16(*, alpha_power: int = 2, sigma_power: int = 4, dimension: int = 1, square: int = 1) -> Derivation:
    """Derive eq. 16 in the general setting, to which the paper says it extends."""
    return _trace("eq-16", general(2), "general", alpha_power, sigma_power, dimension, square)


def _mean_jacobian(label: str, data: Data, setting: str, alpha_power: int, sigma_power: int, outer: int) -> Derivation:
    name, generality, mean, second = _EITHER[setting]
    return derive(
        label,
        f"the Jacobian of the posterior mean, {name}",
        jacobian(data.mean(), data.x),
        ALPHA**alpha_power / SIGMA**sigma_power * data.covariance(outer),
        latex=rf"\frac{{\partial}}{{\partial x_t}} {mean} = \frac{{\alpha_t}}{{\sigma_t^2}}"
        rf" \left[{second} - ({mean})({mean})^\top\right]",
        generality=f"{generality}; {ANY_DIMENSION}",
    )


def _fisher(
    label: str,
    data: Data,
    setting: str,
    alpha_power: int,
    sigma_power: int,
    identity_sigma_power: int,
    outer: int,
) -> Derivation:
    name, generality, mean, second = _EITHER[setting]
    identity = ImmutableMatrix(sympy.eye(len(data.y))) / SIGMA**identity_sigma_power
    return derive(
        label,
        f"the Fisher information, {name}",
        data.fisher(),
        identity - ALPHA**alpha_power / SIGMA**sigma_power * data.covariance(outer),
        latex=rf"F_t = \frac{{1}}{{\sigma_t^2}} I - \frac{{\alpha_t^2}}{{\sigma_t^4}}"
        rf" \left[{second} - ({mean})({mean})^\top\right]",
        generality=f"{generality}; {ANY_DIMENSION}",
    )


def _trace(
    label: str, data: Data, setting: str, alpha_power: int, sigma_power: int, dimension: int, square: int
) -> Derivation:
    name, generality, mean, second = _EITHER[setting]
    d = len(data.y)
    squared_norm: Expr = sum((y**2 for y in data.y), sympy.S.Zero)
    bracket = data.expectation(squared_norm) - square * data.mean().dot(data.mean())
    second = second.replace("y_i y_i^\\top", "\\|y_i\\|^2").replace("y y^\\top", "\\|y\\|^2")
    return derive(
        label,
        f"the trace of the Fisher information, {name}",
        data.fisher().trace(),
        dimension * d / SIGMA**2 - ALPHA**alpha_power / SIGMA**sigma_power * bracket,
        latex=rf"\operatorname{{tr}} F_t = \frac{{d}}{{\sigma_t^2}} - \frac{{\alpha_t^2}}{{\sigma_t^4}}"
        rf" \left[{second} - \left\|{mean}\right\|^2\right]",
        generality=f"{generality}; d = {d}",
    )
