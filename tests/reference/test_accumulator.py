"""The one pass over the atoms, against the exact oracle and against itself in other orders."""

import dataclasses
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afi_reference.accumulator import accumulate, finish, merge, start, update
from afi_reference.dirac import DiracMixture

QUANTITIES = (
    "log_density",
    "score",
    "posterior_mean",
    "posterior_second_moment",
    "fisher_trace",
    "fisher_vector_product",
)
LIMIT = 16.0
SHAPES = ((4, 1, 1), (4, 40, 1), (4, 40, 3), (4, 64, 64))
GEOMETRIES = ("spread", "clusters", "duplicates", "ties")


def noise_level(log_snr):
    return 1 / np.sqrt(1 + np.exp(-log_snr)), 1 / np.sqrt(1 + np.exp(log_snr))


def make_case(geometry, shape, log_snr, offset=0.0, dtype=np.float64, seed=0):
    """Points, directions, atoms, weights and noise of a problem in which several atoms matter."""
    batch, count, d = shape
    rng = np.random.default_rng([seed, GEOMETRIES.index(geometry), *shape])
    alpha = np.empty(batch)
    sigma = np.empty(batch)
    alpha[:], sigma[:] = noise_level(log_snr + np.linspace(-0.5, 0.5, batch))
    y = rng.standard_normal((count, d))
    if geometry == "clusters":
        y = np.repeat(y, 8, axis=0)[:count]
        y = y + 3 * (sigma / alpha).min() / np.sqrt(d) * rng.standard_normal((count, d))
    if geometry == "duplicates":
        y = y[rng.integers(0, max(1, count // 3), count)]
    y = y + offset
    chosen = rng.integers(0, count, batch)
    clean = y[chosen]
    if geometry == "ties":
        clean = (clean + y[(chosen + 1) % count]) / 2
    x = alpha[:, None] * clean + sigma[:, None] * rng.standard_normal((batch, d))
    weights = rng.random(count) + 0.1
    weights /= weights.sum()
    case = {"x": x, "alpha": alpha, "sigma": sigma, "atoms": y, "weights": weights}
    case["v"] = rng.standard_normal((batch, d))
    return {name: value.astype(dtype) for name, value in case.items()}


def truth_of(case, rounder=None):
    """Every quantity in longdouble; with a rounder, as it is after rounding inputs and distances once."""
    wide = {name: value.astype(np.longdouble) for name, value in case.items()}
    if rounder is not None:
        wide = {name: rounder(value) for name, value in wide.items()}
    weights = wide["weights"] / wide["weights"].sum()
    oracle = DiracMixture(wide["atoms"], weights, round_distances=rounder, round_mean=rounder)
    point = (wide["x"], wide["alpha"], wide["sigma"])
    truth = {name: getattr(oracle, name)(*point) for name in QUANTITIES if name != "fisher_vector_product"}
    truth["fisher_vector_product"] = oracle.fisher_vector_product(wide["x"], wide["v"], *point[1:])
    return truth


def norms(values):
    flat = np.asarray(values, dtype=np.longdouble).reshape(len(values), -1)
    return np.sqrt((flat * flat).sum(axis=1))


def multiples_of_attainable(result, case):
    """Each quantity's largest error, over what rounding inputs and distances once would cost."""
    unit = np.finfo(case["x"].dtype).eps / 2
    rng = np.random.default_rng(1)
    truth = truth_of(case)
    spread = {name: unit * norms(value) for name, value in truth.items()}
    largest = dict.fromkeys(QUANTITIES, 0.0)
    for _ in range(6):
        rounded = truth_of(case, lambda t: t * (1 + unit * rng.uniform(-1, 1, t.shape).astype(np.longdouble)))
        for name in QUANTITIES:
            largest[name] = np.maximum(largest[name], norms(rounded[name] - truth[name]))
    errors = {}
    for name in QUANTITIES:
        answer = np.asarray(getattr(result, name))
        assert answer.dtype == case["x"].dtype
        errors[name] = float((norms(answer - truth[name]) / (spread[name] + largest[name])).max())
    return errors


def assert_accurate(result, case):
    errors = multiples_of_attainable(result, case)
    wrong = {name: error for name, error in errors.items() if not error <= LIMIT}
    assert not wrong


def assert_close(left, right, rtol):
    for name in QUANTITIES:
        a, b = np.asarray(getattr(left, name)), np.asarray(getattr(right, name))
        np.testing.assert_array_less(norms(a - b), rtol * norms(b) + 1e-30, err_msg=name)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("offset", [0.0, 100.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("log_snr", [-20, -5, 0, 2, 5, 10, 20])
def test_error_is_of_the_order_of_the_attainable(geometry, offset, dtype, log_snr):
    for shape in SHAPES:
        case = make_case(geometry, shape, log_snr, offset, dtype)
        assert_accurate(accumulate(**case, chunk=17), case)


def test_products_alone_are_accurate_at_high_noise_and_lose_digits_at_low_noise():
    def worst(log_snr):
        case = make_case("clusters", (4, 64, 64), log_snr)
        return max(multiples_of_attainable(accumulate(**case, accurate=False), case).values())

    assert worst(-5) < LIMIT
    assert worst(10) > 100


@pytest.mark.parametrize("log_snr", [-20, 0, 20])
def test_products_alone_give_finite_numbers(log_snr):
    case = make_case("duplicates", (4, 64, 64), log_snr, dtype=np.float32)
    result = accumulate(**case, accurate=False, chunk=9)
    assert all(np.isfinite(getattr(result, name)).all() for name in QUANTITIES)


@pytest.mark.parametrize("offset", [0.0, 100.0])
@pytest.mark.parametrize("log_snr", [-8, -6, 0, 8])
def test_many_dimensions(log_snr, offset):
    """Where anchors are allowed to lag behind the likeliest atoms within a run of blocks."""
    case = make_case("spread", (2, 32, 2048), log_snr, offset, dtype=np.float32)
    assert_accurate(accumulate(**case, chunk=5), case)


def test_many_blocks():
    """More than are summed in one run: sums are folded into the state in between."""
    case = make_case("spread", (2, 300, 3), -3)
    assert_accurate(accumulate(**case, chunk=2), case)


@pytest.mark.parametrize("log_snr", [-5, 0, 5])
def test_chunk_size_does_not_matter(log_snr):
    case = make_case("ties", (3, 50, 6), log_snr)
    whole = accumulate(**case, chunk=50)
    for chunk in (1, 7, 49, 1000):
        assert_close(accumulate(**case, chunk=chunk), whole, 1e-10)


def test_uniform_weights_are_the_default():
    case = make_case("spread", (3, 50, 6), 0)
    uniform = {**case, "weights": np.full(50, 1 / 50)}
    bare = {name: value for name, value in case.items() if name != "weights"}
    assert_close(accumulate(**bare), accumulate(**uniform), 1e-12)


def test_weights_need_not_sum_to_one():
    case = make_case("spread", (3, 50, 6), 0)
    assert_close(accumulate(**{**case, "weights": 7 * case["weights"]}), accumulate(**case), 1e-12)


@pytest.mark.parametrize("log_snr", [-10, 0, 10])
def test_atoms_of_weight_zero_are_not_there(log_snr):
    case = make_case("spread", (3, 50, 6), log_snr)
    case["weights"][:30] = 0
    kept = {**case, "atoms": case["atoms"][30:], "weights": case["weights"][30:]}
    for chunk in (10, 50):
        assert_close(accumulate(**case, chunk=chunk), accumulate(**kept), 1e-10)


def test_one_atom_has_no_covariance():
    case = make_case("spread", (3, 1, 5), 5)
    result = accumulate(**case)
    sigma = case["sigma"]
    np.testing.assert_array_equal(result.posterior_mean, np.broadcast_to(case["atoms"], (3, 5)))
    np.testing.assert_array_equal(result.fisher_trace, 5 / sigma**2)
    np.testing.assert_array_equal(result.fisher_vector_product, case["v"] / sigma[:, None] ** 2)


def test_without_directions_there_is_no_product():
    case = make_case("spread", (3, 20, 5), 0)
    with_v = accumulate(**case)
    del case["v"]
    without = accumulate(**case)
    assert without.fisher_vector_product is None
    np.testing.assert_allclose(without.fisher_trace, with_v.fisher_trace, rtol=1e-12)


def test_a_given_centre_changes_rounding_alone():
    case = make_case("spread", (3, 40, 5), 0)
    atoms, weights = case.pop("atoms"), case.pop("weights")
    v = case.pop("v")
    results = [finish(update(start(**case, v=v, centre=centre), atoms, weights)) for centre in (None, np.full(5, 3.0))]
    assert_close(*results, 1e-12)


def partial_states(case, parts):
    """One state for each part of the atoms, in the order of the parts' numbers."""
    atoms, weights = case["atoms"], case["weights"]
    begin = start(case["x"], case["alpha"], case["sigma"], case["v"])
    return [update(begin, atoms[parts == part], weights[parts == part]) for part in range(parts.max() + 1)]


def merged(states):
    total = states[0]
    for state in states[1:]:
        total = merge(total, state)
    return total


partitions = st.lists(st.integers(0, 3), min_size=24, max_size=24).map(np.array)


@settings(max_examples=40, deadline=None)
@given(partitions, st.sampled_from(GEOMETRIES), st.integers(-20, 20), st.integers(0, 100))
def test_merge_is_associative_commutative_and_equals_one_pass(parts, geometry, log_snr, seed):
    case = make_case(geometry, (3, 24, 4), log_snr, seed=seed)
    states = partial_states(case, parts)
    middle = len(states) // 2
    halves = [merged(half) for half in (states[:middle], states[middle:]) if half]
    for total in (merged(states), merged(states[::-1]), merged(halves)):
        assert_accurate(finish(total), case)


def test_merge_with_nothing_changes_nothing():
    case = make_case("spread", (3, 24, 4), 0)
    begin = start(case["x"], case["alpha"], case["sigma"], case["v"])
    state = update(begin, case["atoms"], case["weights"])
    for total in (merge(begin, state), merge(state, begin)):
        assert_close(finish(total), finish(state), 1e-14)


def merge_without_rescaling(a, b):
    """Add sums that are relative to different maxima: the classic fault of a distributed logsumexp."""
    names = ("normaliser", "moments", "second", "total_weight")
    return dataclasses.replace(a, **{name: getattr(a, name) + getattr(b, name) for name in names})


def test_a_merge_that_forgets_the_maximum_is_caught():
    case = make_case("ties", (3, 24, 4), 2)
    states = partial_states(case, np.arange(24) // 12)
    assert_accurate(finish(merge(*states)), case)
    errors = multiples_of_attainable(finish(merge_without_rescaling(*states)), case)
    assert min(errors.values()) > 1e6


def test_states_of_different_queries_do_not_merge():
    case = make_case("spread", (3, 24, 4), 0)
    one = start(case["x"], case["alpha"], case["sigma"])
    other = start(case["x"] + 1, case["alpha"], case["sigma"])
    with pytest.raises(ValueError, match="same x"):
        merge(one, other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": np.zeros(3)}, "shape"),
        ({"x": np.zeros((3, 4), dtype=int)}, "dtype"),
        ({"sigma": 0.0}, "positive"),
        ({"alpha": np.ones(7)}, "alpha must be a number"),
        ({"v": np.ones((1, 4))}, "shape of x"),
        ({"atoms": np.zeros((24, 3))}, "atoms must have shape"),
        ({"weights": np.ones(5)}, "one per atom"),
        ({"weights": -np.ones(24)}, "not be negative"),
        ({"weights": np.zeros(24)}, "no atom of positive weight"),
        ({"chunk": 0}, "at least 1"),
    ],
)
def test_unusable_arguments_are_named(changes, message):
    case = make_case("spread", (3, 24, 4), 0)
    with pytest.raises(ValueError, match=message):
        accumulate(**{**case, **changes})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("log_snr", [-10, 0, 10])
def test_torch_gives_what_numpy_gives(dtype, log_snr):
    torch = pytest.importorskip("torch")
    for geometry in GEOMETRIES:
        case = make_case(geometry, (2, 24, 1100), log_snr, offset=10, dtype=dtype)
        result = accumulate(**{name: torch.from_numpy(value) for name, value in case.items()}, chunk=16)
        assert all(isinstance(getattr(result, name), torch.Tensor) for name in QUANTITIES)
        assert_accurate(result, case)


def test_jax_gives_what_numpy_gives():
    jnp = pytest.importorskip("jax.numpy")
    case = make_case("clusters", (2, 16, 6), 10, dtype=np.float32)
    assert_accurate(accumulate(**{name: jnp.asarray(value) for name, value in case.items()}), case)


def test_memory_is_a_small_part_of_the_data():
    rng = np.random.default_rng(0)
    atoms = rng.standard_normal((16_384, 1024), dtype=np.float32)
    x = atoms[:4] + rng.standard_normal((4, 1024), dtype=np.float32)
    for shift in (np.float32(0), np.float32(100)):
        atoms += shift
        tracemalloc.start()
        accumulate(x + shift, 1.0, 1.0, atoms, v=x)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < atoms.nbytes / 4


def test_numpy_arrays_need_neither_array_api_compat_nor_torch_nor_dask():
    script = (
        "import sys; import numpy as np; from afi_reference.accumulator import accumulate; "
        "accumulate(np.ones((2, 3)), 1.0, 1.0, np.eye(3)); "
        "print([m for m in ('array_api_compat', 'torch', 'dask', 'jax') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
