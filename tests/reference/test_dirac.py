"""The Dirac oracle in float64 and longdouble against the certified one, and what it says to bad input.

Errors are in multiples of the attainable: what one rounding of each input and of each squared distance does to
the answer, plus one rounding of the answer itself.
"""

import tracemalloc

import numpy as np
import pytest
from flint import arb

from afi_reference.certified import CertifiedDiracMixture
from afi_reference.certified.exact import exact_matrix, exact_number
from afi_reference.certified.precision import working_precision
from afi_reference.dirac import DiracMixture

LIMIT = 16
DRAWS = 8
LOG_SNRS = (-20, -10, 0, 10, 20)
SCALARS = ("log_density", "posterior_second_moment", "fisher_trace")
VECTORS = ("score", "posterior_mean", "fisher_vector_product")
MATRICES = ("posterior_covariance", "fisher")
KINDS = ("shared", "large", "offset", "zero-weights", "duplicates", "ties", "single")


def make_case(kind, log_snr, d, seed=0, count=4):
    """Float64 arrays x, v (B, d), alpha, sigma (B,), atoms (N, d), weights (N,); several atoms share the posterior."""
    rng = np.random.default_rng([seed, d, log_snr + 20, KINDS.index(kind)])
    batch = 1 if kind == "single" else 2
    count = 1 if kind == "single" else count
    log_snrs = log_snr + 0.25 * np.arange(batch)
    alpha, sigma = 1 / np.sqrt(1 + np.exp(-log_snrs)), 1 / np.sqrt(1 + np.exp(log_snrs))
    unit = sigma[0] / alpha[0]
    atoms = unit * 1.5 * rng.standard_normal((count, d)) / np.sqrt(d) * rng.choice([1, np.sqrt(d)])
    weights = rng.dirichlet(np.ones(count))
    if kind == "large":
        atoms = rng.uniform(-1e6, 1e6, (count, d))
        # Neighbours nearer than the noise is wide: the float64 grid at 1e6 is 1e-10.
        atoms[1:3] = atoms[0] + unit * rng.standard_normal((2, d)) / np.sqrt(d)
    elif kind == "offset":
        atoms = 1e6 + atoms
    elif kind == "zero-weights":
        weights[::2] = 0
    elif kind == "duplicates":
        atoms[1::2] = atoms[0]
    elif kind == "ties":
        atoms = np.round(8 * atoms / unit) / 8 * unit
        atoms[1] = -atoms[0]
        weights = np.full(count, 1 / count)
    weights = weights / weights.sum()
    near = np.zeros((batch, d)) if kind == "ties" else atoms[0] + unit * 0.5 * rng.standard_normal((batch, d))
    v = rng.standard_normal((batch, d))
    return {"x": alpha[:, None] * near, "v": v, "alpha": alpha, "sigma": sigma, "atoms": atoms, "weights": weights}


def as_longdouble(case):
    return {name: value.astype(np.longdouble) for name, value in case.items()}


def evaluate(oracle, quantity, case):
    directions = (case["v"],) if quantity == "fisher_vector_product" else ()
    return getattr(oracle, quantity)(case["x"], *directions, case["alpha"], case["sigma"])


def answer(quantity, case, rounding=None):
    return evaluate(DiracMixture(case["atoms"], case["weights"], rounding), quantity, case)


def certified_truth(quantity, case):
    """The certified answer, refined to longdouble: the enclosures again at 128 bits more, midpoints as two floats."""
    mixture = CertifiedDiracMixture(case["atoms"], case["weights"])
    proven = evaluate(mixture, quantity, case)
    assert proven.decided, proven.reason
    fine = []
    with working_precision(proven.precision + 128):
        for b in range(len(case["x"])):
            point, v = (exact_matrix(case[name][b][:, None]) for name in ("x", "v"))
            posterior = mixture._posterior(point, exact_number(case["alpha"][b]), exact_number(case["sigma"][b]))
            method = {"posterior_mean": "mean", "posterior_covariance": "covariance", "fisher_vector_product": "times"}
            name = method.get(quantity, quantity.removeprefix("posterior_"))
            ball = posterior.fisher_times(v) if name == "times" else getattr(posterior, name)()
            fine += [ball] if isinstance(ball, arb) else ball.entries()
        high = [float(ball.mid()) for ball in fine]
        low = [float((ball - value).mid()) for ball, value in zip(fine, high, strict=True)]
    truth = (np.array(high, np.longdouble) + np.array(low, np.longdouble)).reshape(proven.value.shape)
    slack = 2.0**-60 * np.abs(truth).max()
    assert (truth >= proven.lower - slack).all()
    assert (truth <= proven.upper + slack).all()
    return truth


def norms(values):
    flat = values.reshape(len(values), -1)
    return np.sqrt((flat * flat).sum(axis=1))


def attainable(quantity, case, unit_roundoff, seed=0):
    """Spread of the answer when inputs and squared distances are rounded, per point, plus one rounding.

    Measured in longdouble with float64's roundings, and scaled down for longdouble: the oracle's own errors must not
    widen what it is allowed.
    """
    rng = np.random.default_rng(seed)
    wide = as_longdouble(case)
    exact = answer(quantity, wide)

    def rounding(values):
        return values * (1 + 2.0**-53 * rng.uniform(-1, 1, values.shape).astype(np.longdouble))

    spread = np.zeros(len(exact))
    for _ in range(DRAWS):
        shaken = {name: rounding(value) for name, value in wide.items()}
        shaken["weights"] /= shaken["weights"].sum()
        spread = np.maximum(spread, norms(answer(quantity, shaken, rounding) - exact))
    tiny = np.finfo(np.float64).tiny
    return (spread + 2.0**-53 * norms(exact)) * (unit_roundoff / 2.0**-53) + tiny


def errors(quantity, case, dtype):
    found = answer(quantity, {name: value.astype(dtype) for name, value in case.items()})
    assert found.dtype == dtype
    unit_roundoff = float(np.finfo(dtype).eps) / 2
    return norms(found - certified_truth(quantity, case)) / attainable(quantity, case, unit_roundoff)


def quantities_at(d):
    return (*SCALARS, *VECTORS, *(MATRICES if d <= 16 else ()))


@pytest.mark.parametrize("dtype", [np.float64, np.longdouble], ids=["float64", "longdouble"])
@pytest.mark.parametrize("d", [1, 2, 16, 64])
@pytest.mark.parametrize("log_snr", LOG_SNRS)
def test_dirac_oracle_is_within_16_attainable_errors_of_the_certified_one(log_snr, d, dtype):
    worst = {}
    for kind in KINDS:
        case = make_case(kind, log_snr, d)
        for quantity in quantities_at(d):
            worst[kind, quantity] = float(errors(quantity, case, dtype).max())
    too_far = {key: value for key, value in worst.items() if not value < LIMIT}
    assert not too_far


@pytest.mark.parametrize("dtype", [np.float64, np.longdouble], ids=["float64", "longdouble"])
@pytest.mark.parametrize("kind", KINDS)
def test_so_it_is_where_many_points_are_handled_at_once(kind, dtype):
    for log_snr in LOG_SNRS:
        case = make_case(kind, log_snr, 2)
        many = {name: value.astype(dtype) for name, value in case.items()}
        few = DiracMixture(many["atoms"], many["weights"])
        one_by_one = few.posterior_weights(many["x"], many["alpha"], many["sigma"])
        for name in ("x", "alpha", "sigma"):
            many[name] = np.concatenate([many[name]] * 96)
        for quantity in ("log_density", "posterior_mean", "posterior_second_moment"):
            found = answer(quantity, many)
            assert found.dtype == dtype
            truth = np.concatenate([certified_truth(quantity, case)] * 96)
            allowed = np.tile(attainable(quantity, case, float(np.finfo(dtype).eps) / 2), 96)
            assert (norms(found - truth) < LIMIT * allowed).all(), (quantity, log_snr)
        weights = few.posterior_weights(many["x"], many["alpha"], many["sigma"])
        np.testing.assert_allclose(weights, np.concatenate([one_by_one] * 96), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.longdouble], ids=["float64", "longdouble"])
@pytest.mark.parametrize("log_snr", [-20, 0, 20])
def test_dirac_matrices_in_64_dimensions_agree_with_the_certified_ones(log_snr, dtype):
    case = make_case("shared", log_snr, 64)
    for quantity in MATRICES:
        assert (errors(quantity, case, dtype) < LIMIT).all(), quantity


@pytest.mark.parametrize("quantity", [*SCALARS, *VECTORS])
def test_dirac_oracle_in_16384_dimensions(quantity):
    case = make_case("shared", 0, 16384, count=3)
    assert (errors(quantity, case, np.float64) < LIMIT).all()


@pytest.mark.parametrize("quantity", [*SCALARS, *VECTORS, *MATRICES])
def test_noise_levels_per_point_equal_scalar_ones(quantity):
    case = make_case("shared", 2, 3)
    together = answer(quantity, case)
    for b in range(2):
        alone = {name: value[[b]] if name not in ("atoms", "weights") else value for name, value in case.items()}
        alone |= {"alpha": float(case["alpha"][b]), "sigma": float(case["sigma"][b])}
        np.testing.assert_array_equal(answer(quantity, alone)[0], together[b])


def test_weights_of_zero_leave_an_atom_out():
    case = make_case("zero-weights", 0, 3)
    kept = case | {"atoms": case["atoms"][1::2], "weights": case["weights"][1::2]}
    np.testing.assert_allclose(answer("fisher", case), answer("fisher", kept), rtol=1e-14)


def test_duplicated_atoms_add_their_weights():
    case = make_case("shared", 0, 3)
    twice = case | {"atoms": np.repeat(case["atoms"], 2, axis=0), "weights": np.repeat(case["weights"] / 2, 2)}
    np.testing.assert_allclose(answer("fisher", twice), answer("fisher", case), rtol=1e-13)


def test_omitted_weights_are_uniform():
    case = make_case("shared", 0, 3)
    uniform = case | {"weights": np.full(4, 0.25)}
    np.testing.assert_array_equal(answer("fisher", case | {"weights": None}), answer("fisher", uniform))


def test_posterior_weights_sum_to_one():
    case = make_case("shared", 0, 3)
    posterior = DiracMixture(case["atoms"], case["weights"]).posterior_weights(case["x"], case["alpha"], case["sigma"])
    assert posterior.shape == (2, 4)
    np.testing.assert_allclose(posterior.sum(axis=1), 1, rtol=1e-15)


@pytest.mark.parametrize("quantity", [*SCALARS, *VECTORS])
def test_no_array_of_batch_by_atoms_by_dimension_is_formed(quantity):
    batch, count, d = 64, 512, 256
    rng = np.random.default_rng(0)
    x, v, atoms = (rng.standard_normal((n, d)) for n in (batch, batch, count))
    case = {"x": x, "v": v, "alpha": 0.8, "sigma": 0.6, "atoms": atoms, "weights": None}
    tracemalloc.start()
    try:
        answer(quantity, case)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < batch * count * d * 8 / 8  # a handful of (N, d) arrays, which are 1/64 of it each


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"atoms": np.array([[0.0, np.nan]])}, "atoms must be finite: 1 of its 2 entries"),
        ({"atoms": np.zeros(2)}, r"atoms must have shape \(N, d\) with N, d >= 1; got \(2,\)"),
        ({"atoms": np.zeros((0, 2))}, r"atoms must have shape \(N, d\) with N, d >= 1"),
        ({"weights": np.array([0.5, 0.6])}, r"must sum to 1; they sum to 1\.1\. Divide them by their sum"),
        ({"weights": np.array([1.5, -0.5])}, r"weights must not be negative; the smallest is -0\.5"),
        ({"weights": np.array([1.0])}, r"weights must have shape \(2,\), one per component; got \(1,\)"),
        ({"weights": np.array([np.nan, 1.0])}, "weights must be finite"),
        ({"x": np.array([[np.inf, 0.0]])}, "x must be finite"),
        ({"x": np.zeros(2)}, r"x must have shape \(B, 2\): one row per point"),
        ({"x": np.zeros((1, 3))}, r"x must have shape \(B, 2\).*got \(1, 3\)"),
        ({"v": np.zeros((2, 2))}, "v must hold one direction per point: 1 points, 2 directions"),
        ({"v": np.array([[np.nan, 0.0]])}, "v must be finite"),
        ({"sigma": 0.0}, r"sigma must be positive.*stop at a small positive time"),
        ({"sigma": -1.0}, "sigma must be positive"),
        ({"sigma": np.nan}, "sigma must be finite"),
        ({"alpha": 0.0}, "alpha must be positive"),
        ({"alpha": np.ones(3)}, r"alpha must be a number or have shape \(1,\); got \(3,\)"),
    ],
)
def test_bad_input_is_refused_with_what_to_do(change, message):
    case = {"x": np.zeros((1, 2)), "v": np.zeros((1, 2)), "alpha": 1.0, "sigma": 1.0}
    case |= {"atoms": np.array([[0.0, 1.0], [2.0, 3.0]]), "weights": None} | change
    with pytest.raises(ValueError, match=message):
        answer("fisher_vector_product" if "v" in change else "score", case)
