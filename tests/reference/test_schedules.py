"""Noise schedules, against definitions in mpmath and, as formulas, in SymPy."""

import copy
import subprocess
import sys
from dataclasses import fields
from functools import lru_cache
from itertools import accumulate
from types import SimpleNamespace
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

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

M = mp.mpf
DIGITS = 60


def beta_integral(t):
    return M(0.1) * t + (M(20.0) - M(0.1)) * t**2 / 2


def cosine(t):
    s = M(0.008)
    return mp.cos(mp.pi / 2 * (t + s) / (1 + s)) / mp.cos(mp.pi / 2 * s / (1 + s))


@lru_cache
def scaled_linear_table():
    """log alpha_bar at the steps 0 to 999, by adding up."""
    with mp.workdps(2 * DIGITS):
        first, last = mp.sqrt(M(0.00085)), mp.sqrt(M(0.012))
        return list(accumulate(mp.log(1 - ((first * (999 - k) + last * k) / 999) ** 2) for k in range(1000)))


def scaled_linear(k):
    return scaled_linear_table()[k]


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

# Two to four times the worst relative errors of 3,000 times per schedule, in ulp. The log-SNR counts
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
    t = np.float64(1e-6)
    check_quantity(schedule, definition, quantity, t, ULPS["vp-linear"])
    with pytest.raises(AssertionError):
        check_quantity(mutant, definition, quantity, t, ULPS["vp-linear"])


class Symbolic:
    """Enough of an array namespace to run a schedule's own formulas on SymPy symbols."""

    exp, log, sin, cos, tan, atan = sp.exp, sp.log, sp.sin, sp.cos, sp.tan, sp.atan
    sqrt = staticmethod(sp.sqrt)

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


@pytest.mark.parametrize("schedule", ALL, ids=by_name)
@settings(max_examples=40, deadline=None)
@given(share=shares, from_end=st.booleans())
def test_time_of_log_snr_inverts(schedule, share, from_end):
    t = time_at(schedule, share, from_end, np.float64)
    lam = schedule.log_snr(t)
    slope = schedule.g2(t) / schedule.sigma(t) ** 2  # d lam/dt = -g2/sigma^2
    # What rounding lam moves the time by cannot be won back.
    unavoidable = 4 * np.finfo(float).eps * (max(1, abs(lam)) / slope + schedule.t_max)
    assert abs(schedule.time_of_log_snr(lam) - t) <= unavoidable


@pytest.mark.parametrize("schedule", ALL, ids=by_name)
def test_noise_at_log_snr_lies_on_the_schedule(schedule):
    t = time_at(schedule, np.linspace(0.001, 0.999, 57), False, np.float64)
    alpha, sigma = schedule.noise_at_log_snr(schedule.log_snr(t))
    np.testing.assert_allclose(alpha, schedule.alpha(t), rtol=2e-14)
    np.testing.assert_allclose(sigma, schedule.sigma(t), rtol=2e-14)


@settings(max_examples=60, deadline=None)
@given(lam=st.floats(-20, 20))
def test_noise_at_log_snr_keeps_its_digits_at_every_level(lam):
    alpha, sigma = LogSNRLinear().noise_at_log_snr(lam)
    with mp.workdps(DIGITS):
        for value, sign in ((alpha, 1), (sigma, -1)):
            expected = 1 / mp.sqrt(1 + mp.exp(-sign * M(lam)))
            assert abs(M(value) - expected) <= 3 * M(2) ** -52 * expected


@pytest.mark.parametrize("schedule", ALL, ids=by_name)
def test_both_ends_are_in_the_domain_and_give_no_nan(schedule):
    ends = np.array([schedule.t_min, schedule.t_max])
    for quantity in QUANTITIES[:5]:
        assert not np.isnan(evaluated(schedule, quantity, ends)).any(), quantity
    assert np.isfinite(schedule.rates(schedule.t_max)).all()
    np.testing.assert_allclose(schedule.time_of_log_snr(schedule.log_snr(ends)), ends, rtol=1e-14, atol=1e-14)
    assert schedule.alpha(schedule.t_min) <= 1
    assert (np.diff(schedule.log_snr(np.linspace(*ends, 500))) < 0).all()


@pytest.mark.parametrize("schedule", ALL, ids=by_name)
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble])
def test_shape_and_dtype_are_those_of_the_times(schedule, kind):
    t = time_at(schedule, np.linspace(0.1, 0.9, 6), False, np.float64).astype(kind).reshape(2, 3)
    for quantity in QUANTITIES:
        result = evaluated(schedule, quantity, t)
        assert (result.shape, result.dtype) == (t.shape, t.dtype), quantity
    lam = schedule.log_snr(t)
    for result in (schedule.time_of_log_snr(lam), *schedule.noise_at_log_snr(lam)):
        assert (result.shape, result.dtype) == (t.shape, t.dtype)


@pytest.mark.parametrize("schedule", ALL, ids=by_name)
def test_a_float_gives_a_float_and_nobody_writes_through(schedule):
    for quantity in QUANTITIES:
        assert type(evaluated(schedule, quantity, schedule.t_max / 2)) is float
    assert type(schedule.alpha(np.float32(schedule.t_max))) is np.float32
    t = np.full(3, schedule.t_max / 2)
    for quantity in QUANTITIES:
        assert not np.shares_memory(evaluated(schedule, quantity, t), t)


@pytest.mark.parametrize("schedule", ALL, ids=by_name)
def test_a_value_outside_the_domain_is_an_error_that_names_the_domain(schedule):
    for bad in (schedule.t_min - 0.1, schedule.t_max + 0.1, float("nan"), [schedule.t_max, np.inf]):
        for quantity in QUANTITIES:
            with pytest.raises(ValueError, match=f"between {schedule.t_min} and {schedule.t_max}"):
                evaluated(schedule, quantity, bad)
    for method in (schedule.time_of_log_snr, schedule.noise_at_log_snr):
        with pytest.raises(ValueError, match=r"log-SNR .* must be between"):
            method(float("nan"))
        if np.isfinite(schedule.log_snr(schedule.t_max)):
            with pytest.raises(ValueError, match=r"log-SNR .* must be between"):
                method(schedule.log_snr(schedule.t_max) - 0.01)
    for bad in (True, 1j, "now"):
        with pytest.raises(TypeError):
            schedule.alpha(np.array(bad))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VPLinear(beta_min=0.0), "beta_min must be positive"),
        (lambda: SubVP(beta_min=2.0, beta_max=1.0), "beta_min must not exceed"),
        (lambda: VPCosine(s=float("nan")), "s must be positive"),
        (lambda: LogSNRLinear(log_snr_max=-30), "log_snr_min must be below"),
        (lambda: VEGeometric(sigma_min=60), "sigma_min must be below"),
        (lambda: EDM(sigma_max=float("inf")), "sigma_max must be positive and finite"),
        (lambda: StableDiffusion(beta_end=1.0), "beta_end < 1"),
        (lambda: StableDiffusion(num_steps=1), "at least 2"),
        (lambda: DiscreteVP([[0.9, 0.8]]), r"shape \(N,\)"),
        (lambda: DiscreteVP([0.9]), "N >= 2"),
        (lambda: DiscreteVP([0.9, 0.8, 0.0]), "entry 2 is 0.0.*zero terminal SNR"),
        (lambda: DiscreteVP([0.9, float("nan")]), "entry 1 is nan"),
        (lambda: DiscreteVP([1.0, 0.9]), "entry 0 is 1.0"),
        (lambda: DiscreteVP([0.9, 0.8, 0.8]), "entries 1 and 2 are 0.8 and 0.8"),
    ],
)
def test_unusable_parameters_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def diffusers_table():
    torch = pytest.importorskip("torch", reason="the table is computed as diffusers does, in torch float32")
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float32) ** 2
    return torch.cumprod(1.0 - betas, dim=0)


def test_discrete_vp_gives_back_the_table_of_diffusers_bit_for_bit():
    table = diffusers_table()
    for given_table in (table, table.numpy(), table.tolist()):
        schedule = DiscreteVP(given_table)
        for steps in (np.arange(1000), np.arange(1000.0), np.arange(1000, dtype=np.float32)):
            assert (schedule.alpha_bar(steps) == table.numpy()).all()
    exact = table.numpy().astype(np.float64)
    np.testing.assert_array_equal(schedule.alpha(np.arange(1000)), np.sqrt(exact))
    np.testing.assert_array_equal(schedule.sigma(np.arange(1000)), np.sqrt(1 - exact))
    assert schedule.alpha_bar(table.new_tensor(range(1000))).equal(table)
    # The steps of diffusers differ from the exact ones by its float32, and between them nothing else happens.
    t = np.linspace(0, 999, 4001)
    np.testing.assert_allclose(schedule.log_snr(t), StableDiffusion().log_snr(t), atol=3e-4)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(1e-6, 3.0), min_size=2, max_size=12), st.floats(0, 1))
def test_any_table_becomes_a_smooth_falling_schedule(falls, share):
    schedule = DiscreteVP(np.exp(-np.cumsum(falls)))
    t = share * schedule.t_max
    assert schedule.f(t) < 0 < schedule.g2(t)
    assert schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2 == pytest.approx(1, rel=1e-15)
    assert schedule.time_of_log_snr(schedule.log_snr(t)) == pytest.approx(t, abs=1e-9)
    for k in range(1, len(falls) - 1):
        assert schedule.f(np.nextafter(k, 0)) == pytest.approx(schedule.f(k), rel=1e-6)


# torch warns about itself when torch.func is first used.
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@pytest.mark.parametrize("schedule", ALL, ids=by_name)
def test_torch_agrees_with_numpy_under_vmap_and_jvp(schedule):
    torch = pytest.importorskip("torch", reason="torch is an extra")
    t = time_at(schedule, np.linspace(0.02, 0.98, 25), False, np.float64)
    times = torch.tensor(t)
    for quantity in QUANTITIES:
        expected = evaluated(schedule, quantity, t)
        formula = lambda u, quantity=quantity: evaluated(schedule, quantity, u)  # noqa: E731
        for result in (formula(times), torch.func.vmap(formula)(times)):
            np.testing.assert_allclose(result.numpy(), expected, rtol=1e-13, atol=1e-15)
        assert formula(times.to(torch.float32)).dtype == torch.float32
        assert formula(times.to(torch.bfloat16)).dtype == torch.bfloat16
    one = torch.ones_like(times)
    (alpha, sigma), (alpha_rate, sigma_rate) = torch.func.jvp(
        torch.func.vmap(lambda u: (schedule.alpha(u), schedule.sigma(u))), (times,), (one,)
    )
    log_snr, log_snr_rate = torch.func.jvp(schedule.log_snr, (times,), (one,))
    np.testing.assert_allclose(alpha_rate / alpha, schedule.f(t), rtol=1e-12)
    np.testing.assert_allclose(2 * sigma * sigma_rate - 2 * schedule.f(times) * sigma**2, schedule.g2(t), rtol=1e-11)
    np.testing.assert_allclose(log_snr_rate, -schedule.g2(t) / schedule.sigma(t) ** 2, rtol=1e-11)
    back, back_rate = torch.func.jvp(schedule.time_of_log_snr, (log_snr,), (one,))
    np.testing.assert_allclose(back, t, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(back_rate * log_snr_rate, one, rtol=1e-9)
    outside = torch.tensor([2 * schedule.t_max])
    schedule.alpha(outside)  # values of tensors are not looked at


@pytest.mark.parametrize("schedule", ALL, ids=by_name)
def test_jax_agrees_with_numpy_under_jit_and_grad(schedule):
    jax = pytest.importorskip("jax", reason="JAX is an extra")
    t = time_at(schedule, np.linspace(0.02, 0.98, 25), False, np.float32)
    for quantity in QUANTITIES:
        formula = lambda u, quantity=quantity: evaluated(schedule, quantity, u)  # noqa: E731
        result = jax.jit(jax.vmap(formula))(jax.numpy.asarray(t))
        np.testing.assert_allclose(result, formula(t), rtol=3e-5, atol=1e-6)
        assert result.dtype == np.float32
    rate = jax.vmap(jax.grad(schedule.log_snr))(jax.numpy.asarray(t))
    np.testing.assert_allclose(rate, -schedule.g2(t) / schedule.sigma(t) ** 2, rtol=3e-4)


def test_a_stranger_is_a_type_error():
    with pytest.raises(TypeError):
        VPLinear().alpha(object())
    torch = pytest.importorskip("torch", reason="torch is an extra")
    with pytest.raises(TypeError, match="real numbers"):
        VPLinear().alpha(torch.tensor([True]))


def test_floats_and_numpy_need_neither_torch_nor_sympy_nor_array_api_compat():
    code = (
        "import sys, numpy as np; from afi_reference.schedules import *\n"
        "for s in (VPLinear(), VPCosine(), LogSNRLinear(), SubVP(), VEGeometric(), EDM(), RectifiedFlow(), "
        "StableDiffusion(), DiscreteVP([0.9, 0.5])):\n"
        "    s.noise_at_log_snr(s.log_snr(np.array([0.5]))); s.time_of_log_snr(s.log_snr(0.5)); s.g2(0.5)\n"
        "convert(1.0, 'v', 'x0', x=1.0, alpha=0.5, sigma=0.5)\n"
        "print([m for m in ('torch', 'sympy', 'array_api_compat', 'jax', 'scipy') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
