"""Noise schedules, against definitions in mpmath and, as formulas, in SymPy."""

import copy
import subprocess
import sys
from dataclasses import fields
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, ClassVar

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from afi_reference.schedules import (
    EDM,
    DiscreteVP,
    LogSNRLinear,
    RectifiedFlow,
    Schedule,
    StableDiffusion,
    SubVP,
    VEGeometric,
    VPCosine,
    VPLinear,
)
from hypothesis import given, settings
from hypothesis import strategies as st

M = mp.mpf
DIGITS = 60


def beta_integral(t):
    return mp.quad(lambda s: M(0.1) + s * (M(20.0) - M(0.1)), [0, t])


def cosine(t):
    s = M(0.008)
    return mp.cos(mp.pi / 2 * (t + s) / (1 + s)) / mp.cos(mp.pi / 2 * s / (1 + s))


@lru_cache
def scaled_linear(k):
    """log alpha_bar(k), by adding up."""
    beta = (mp.sqrt(M(0.00085)) * (999 - k) / 999 + mp.sqrt(M(0.012)) * k / 999) ** 2
    return mp.log(1 - beta) + (scaled_linear(k - 1) if k > 0 else 0)


def pchip(values, t):
    """Monotone cubic Hermite in the textbook basis, from 1000 values at 0, 1, ..."""
    k = min(max(int(mp.floor(t)), 0), 998)
    s = t - k

    def slope(j):
        if j in (0, 999):
            near, far = (values(1) - values(0), values(2) - values(1))
            if j == 999:
                near, far = (values(999) - values(998), values(998) - values(997))
            return (3 * near - far) / 2
        return 2 / (1 / (values(j) - values(j - 1)) + 1 / (values(j + 1) - values(j)))

    return (
        (1 + 2 * s) * (1 - s) ** 2 * values(k)
        + s * (1 - s) ** 2 * slope(k)
        + s**2 * (3 - 2 * s) * values(k + 1)
        + s**2 * (s - 1) * slope(k + 1)
    )


def variance_preserving(alpha):
    return alpha, lambda t: mp.sqrt(1 - alpha(t) ** 2)


DEFINITIONS: dict[str, tuple[Schedule, tuple[Any, Any]]] = {
    "vp-linear": (VPLinear(), variance_preserving(lambda t: mp.exp(-beta_integral(t) / 2))),
    "vp-cosine": (VPCosine(), variance_preserving(cosine)),
    "log-snr-linear": (
        LogSNRLinear(),
        (lambda t: 1 / mp.sqrt(1 + mp.exp(40 * t - 20)), lambda t: 1 / mp.sqrt(1 + mp.exp(20 - 40 * t))),
    ),
    "sub-vp": (SubVP(), (lambda t: mp.exp(-beta_integral(t) / 2), lambda t: 1 - mp.exp(-beta_integral(t)))),
    "ve": (VEGeometric(), (lambda t: M(1), lambda t: M(0.01) * (M(50) / M(0.01)) ** t)),
    "edm": (EDM(), (lambda t: M(1), lambda t: t)),
    "rectified-flow": (RectifiedFlow(), (lambda t: 1 - t, lambda t: t)),
    "stable-diffusion": (
        StableDiffusion(),
        variance_preserving(lambda t: mp.exp(pchip(scaled_linear, t) / 2)),
    ),
}
QUANTITIES = ("alpha", "sigma", "log_snr", "f", "g2", "alpha_rate", "sigma_rate")
CONTINUOUS = [schedule for schedule, _ in DEFINITIONS.values() if schedule.name != "stable-diffusion"]
ALL = [schedule for schedule, _ in DEFINITIONS.values()]

# Worst relative errors measured over 3,000 times per schedule, in ulp, times about three. The log-SNR counts
# relative to the larger of 1 and itself, because it crosses zero.
ULPS = {"vp-linear": 35, "sub-vp": 35, "log-snr-linear": 55, "vp-cosine": 9, "stable-diffusion": 20}
DEFAULT_ULPS = 11


def by_name(schedule):
    return schedule.name


def exactly(value):
    """Convert a NumPy number to mpmath without rounding it to float64."""
    high = float(value)
    return M(high) + M(float(value - type(value)(high))) if mp.isfinite(high) else M(high)


def truth(definition, t):
    alpha, sigma = definition
    a, s = alpha(t), sigma(t)
    a_rate = mp.diff(alpha, t)
    s2_rate = mp.diff(lambda u: sigma(u) ** 2, t)
    f = mp.diff(lambda u: mp.log(alpha(u)), t)
    values = (a, s, mp.log(a**2 / s**2), f, s2_rate - 2 * f * s**2, a_rate, s2_rate / (2 * s))
    return dict(zip(QUANTITIES, values, strict=True))


def evaluated(schedule, quantity, t):
    if quantity.endswith("_rate"):
        return schedule.rates(t)[quantity == "sigma_rate"]
    return getattr(schedule, quantity)(t)


def check_quantity(schedule, definition, quantity, t, ulps):
    with mp.workdps(DIGITS):
        expected = truth(definition, exactly(t))[quantity]
        error = abs(exactly(evaluated(schedule, quantity, t)) - expected)
        scale = max(M(1), abs(expected)) if quantity == "log_snr" else abs(expected)
        assert error <= ulps * M(float(np.finfo(type(t)).eps)) * scale, (quantity, t, error / scale)


def time_at(schedule, share, from_end, kind):
    """Return the time a share of the domain away from one of its ends."""
    distance = kind(share) * (kind(schedule.t_max) - kind(schedule.t_min))
    return kind(schedule.t_max) - distance if from_end else kind(schedule.t_min) + distance


def widest():
    if np.finfo(np.longdouble).eps == np.finfo(np.float64).eps:
        pytest.skip("longdouble is float64 on this platform: there is nothing wider to check")
    return np.longdouble


shares = st.one_of(st.floats(1e-12, 1.0), st.floats(-12, 0).map(lambda e: 10.0**e)).map(lambda u: min(u, 0.999))


@pytest.mark.parametrize("kind", ["float64", "longdouble"])
@pytest.mark.parametrize("name", DEFINITIONS)
@settings(max_examples=40, deadline=None)
@given(share=shares, from_end=st.booleans())
def test_every_quantity_is_accurate_to_a_few_ulp_of_its_own_precision(name, kind, share, from_end):
    schedule, definition = DEFINITIONS[name]
    t = time_at(schedule, share, from_end, np.float64 if kind == "float64" else widest())
    for quantity in QUANTITIES:
        check_quantity(schedule, definition, quantity, t, ULPS.get(name, DEFAULT_ULPS))


MUTANTS = [
    ("f", "wrong sign", lambda s, t: -s.f(t)),
    ("f", "of alpha squared", lambda s, t: 2 * s.f(t)),
    ("f", "derivative of alpha, not of its logarithm", lambda s, t: s.rates(t)[0]),
    ("g2", "wrong sign", lambda s, t: -s.g2(t)),
    ("g2", "g, not its square", lambda s, t: np.sqrt(s.g2(t))),
    ("g2", "without the drift's part", lambda s, t: 2 * s.sigma(t) * s.rates(t)[1]),
    ("g2", "the drift's part added", lambda s, t: s.g2(t) + 4 * s.f(t) * s.sigma(t) ** 2),
    ("log_snr", "wrong sign", lambda s, t: -s.log_snr(t)),
    ("log_snr", "half", lambda s, t: s.log_snr(t) / 2),
    ("log_snr", "of a rounded 1 - alpha^2", lambda s, t: np.log(s.alpha(t) ** 2 / (1 - s.alpha(t) ** 2))),
    ("sigma", "of a rounded 1 - alpha^2", lambda s, t: np.sqrt(1 - s.alpha(t) ** 2)),
]


@pytest.mark.parametrize(("quantity", "sin", "formula"), MUTANTS, ids=lambda m: m if isinstance(m, str) else "")
def test_the_check_rejects_planted_mistakes(quantity, sin, formula):
    schedule, definition = DEFINITIONS["vp-linear"]
    mutant = SimpleNamespace(**{quantity: lambda t: formula(schedule, t)})
    t = np.float64(0.001)
    check_quantity(schedule, definition, quantity, t, ULPS["vp-linear"])
    with pytest.raises(AssertionError):
        check_quantity(mutant, definition, quantity, t, ULPS["vp-linear"])


class Symbolic:
    """Enough of an array namespace to run a schedule's own formulas on SymPy symbols."""

    exp, log, sqrt, sin, cos, tan = sp.exp, sp.log, sp.sqrt, sp.sin, sp.cos, sp.tan
    atan, asinh = sp.atan, sp.asinh

    def __init__(self, branch):
        self.branch = branch

    def where(self, _, yes, no):
        return yes if self.branch else no

    def full_like(self, _, value):
        return value

    def ones_like(self, _):
        return sp.Integer(1)

    def zeros_like(self, _):
        return sp.Integer(0)

    def expm1(self, x):
        return sp.exp(x) - 1

    def log1p(self, x):
        return sp.log(1 + x)


def with_symbols(schedule):
    """Copy a schedule, with a positive symbol for every parameter."""
    symbolic = copy.copy(schedule)
    for field in fields(schedule):
        if field.name != "name":
            object.__setattr__(symbolic, field.name, sp.Symbol(field.name, positive=True))
    return symbolic


def check_symbolically(schedule, branch):
    """Prove eq. 2, the rates, the log-SNR and the PF-ODE's coefficients for all parameters and times."""
    xp = Symbolic(branch)
    t = sp.Symbol("t", positive=True)
    symbolic = with_symbols(schedule)
    alpha, sigma, log_snr, f, g2 = (
        getattr(symbolic, "_" + name)(xp, t) for name in ("alpha", "sigma", "log_snr", "f", "g2")
    )
    alpha_rate, sigma_rate = symbolic._rates(xp, t)
    sigma2 = sp.expand(sigma**2)
    identities = {
        "f is the logarithmic derivative of alpha": sp.diff(alpha, t) / alpha - f,
        "g2 of eq. 2": sp.diff(sigma2, t) - 2 * f * sigma2 - g2,
        "log_snr": sp.diff(log_snr, t) - 2 * sp.diff(alpha, t) / alpha + sp.diff(sigma2, t) / sigma2,
        "alpha rate": sp.diff(alpha, t) - alpha_rate,
        "sigma rate": sp.diff(sigma2, t) - 2 * sigma * sigma_rate,
        "PF-ODE, x_0": f * alpha - alpha_rate,
        "PF-ODE, noise": f * sigma2 + g2 / 2 - sigma * sigma_rate,
    }
    for name, expression in identities.items():
        assert is_zero(expression, t), name


def is_zero(expression, t):
    if not expression.has(sp.sin, sp.cos, sp.tan):
        return sp.simplify(expression) == 0
    # The cosine schedule in its own angle u and offset v, where all its angles are sums.
    u, v = sp.symbols("u v", positive=True)
    s = sp.Symbol("s", positive=True)
    inner = expression.subs(t, 2 * u * (1 + s) / sp.pi - s).replace(
        lambda e: isinstance(e, sp.sin | sp.cos | sp.tan),
        lambda e: e.func(sp.expand(sp.simplify(e.args[0].subs(s, 2 * v / (sp.pi - 2 * v))))),
    )
    return sp.simplify(sp.expand_trig(inner)) == 0


@pytest.mark.parametrize("branch", [True, False])
@pytest.mark.parametrize("schedule", CONTINUOUS, ids=by_name)
def test_sympy_proves_the_formulas_for_all_parameters(schedule, branch):
    check_symbolically(schedule, branch)


def test_the_proof_rejects_a_wrong_sign():
    class WrongDrift(VPLinear):
        def _f(self, xp, t):
            return -super()._f(xp, t)

    class WrongDiffusion(SubVP):
        def _g2(self, xp, t):
            return self._beta(xp, t) * (1 - xp.exp(-self._integral(xp, t)))

    for wrong in (WrongDrift(), WrongDiffusion()):
        with pytest.raises(AssertionError):
            check_symbolically(wrong, True)
