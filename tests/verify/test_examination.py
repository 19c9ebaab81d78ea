"""Verdicts on small implementations, right and wrong: each made here, and each with one sin at most."""

import numpy as np
import pytest

from afi_properties.strategies import Demand, stratified_problems
from afi_reference.dirac import DiracMixture
from afi_verify import Adapter, verify
from afi_verify.backends import load_backend
from afi_verify.checks import conclude, look_for_faults
from afi_verify.conditions import fixed_conditions
from afi_verify.examination import Kind
from afi_verify.handing import Subject, epsilon_function, head_function, round_problem
from afi_verify.outcome import VERDICTS, weightiest
from afi_verify.planning import make_plan, planned_checks, why_not
from afi_verify.results import Verdict


def columns(values, x):
    """Noise levels, numbers or (B,), as columns (B, 1) in the dtype of x."""
    return np.broadcast_to(np.asarray(values, dtype=x.dtype), x.shape[:1])[:, None]


def posterior(x, alpha, sigma, data, weights=None):
    """Posterior weights (B, N) from direct distances, in the dtype of x."""
    a, s = columns(alpha, x), columns(sigma, x)
    distances = ((x[:, None] - a[..., None] * data) ** 2).sum(-1)
    logits = -distances / (2 * s**2) + (0 if weights is None else np.log(weights))
    unnormalised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return unnormalised / unnormalised.sum(axis=1, keepdims=True)


def trace_from(x, alpha, sigma, data, w):
    a, s = columns(alpha, x)[:, 0], columns(sigma, x)[:, 0]
    centred = data - (w @ data)[:, None]
    return x.dtype.type(x.shape[1]) / s**2 - a**2 / s**4 * (w * (centred**2).sum(-1)).sum(-1)


def right_trace(x, alpha, sigma, data, weights):
    return trace_from(x, alpha, sigma, data, posterior(x, alpha, sigma, data, weights))


def result_of(function, role="fisher_trace", profile="quick", scenario="dirac", **adapter_options):
    adapter = Adapter("subject", **adapter_options)
    adapter.provides(role, function)
    (result,) = verify(adapter, profile=profile, scenarios=[scenario], roles=[role]).results.checks[:1]
    return result


def verdict_of(function, role="fisher_trace", profile="quick", scenario="dirac", **adapter_options):
    """The verdict alone: no counterexample is made simple, which takes thrice as long as to find it."""
    adapter = Adapter("subject", **adapter_options)
    adapter.provides(role, function)
    plan = make_plan(profile=profile, seed=0, scenarios=[scenario], roles=[role], data=None, weights=None)
    check = next(check for check in planned_checks(adapter, plan) if why_not(check, plan) is None)
    with fixed_conditions():
        findings = look_for_faults(check, plan)
        decisive = weightiest(findings)
        return conclude(check, plan, findings).verdict if decisive.kind is Kind.RIGHT else VERDICTS[decisive.kind]


def naive_sum(values):
    total = np.zeros(values.shape[:-1], values.dtype)
    for k in range(values.shape[-1]):
        total = total + values[..., k]
    return total


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_right_code_passes(dtype):
    assert verdict_of(right_trace, dtype=dtype) == Verdict.PASS


def test_right_code_with_naive_summation_passes_in_float32():
    def trace(x, alpha, sigma, data, weights):
        if x.shape[1] > 256:  # 16,384 additions one after the other do lose digits that others keep
            return right_trace(x, alpha, sigma, data, weights)
        distances = naive_sum((x[:, None] - columns(alpha, x)[..., None] * data) ** 2)
        logits = np.log(weights) - distances / (2 * columns(sigma, x) ** 2)
        w = np.exp(logits - logits.max(axis=1, keepdims=True))
        return trace_from(x, alpha, sigma, data, w / w.sum(axis=1, keepdims=True))

    assert verdict_of(trace, dtype="float32") == Verdict.PASS


def expanded(x, alpha, sigma, data, weights):
    a, s = columns(alpha, x), columns(sigma, x)
    distances = (x * x).sum(1)[:, None] - 2 * a * (x @ data.T) + a * a * (data * data).sum(1)
    logits = np.log(weights) - distances / (2 * s**2)
    w = np.exp(logits - logits.max(axis=1, keepdims=True))
    return trace_from(x, alpha, sigma, data, w / w.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_expanded_distances_are_inaccurate(dtype):
    # Three numbers a point: the whole range of dimensions takes half a minute to shrink.
    assert verdict_of(expanded, dtype=dtype, event_shape=(3,)) == Verdict.INACCURATE


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_eq_16_as_a_difference_of_two_second_moments_is_inaccurate(dtype):
    def trace(x, alpha, sigma, data, weights):
        w = posterior(x, alpha, sigma, data, weights)
        a, s = columns(alpha, x)[:, 0], columns(sigma, x)[:, 0]
        moments = w @ (data**2).sum(1) - ((w @ data) ** 2).sum(1)
        return x.dtype.type(x.shape[1]) / s**2 - a**2 / s**4 * moments

    assert verdict_of(trace, dtype=dtype) == Verdict.INACCURATE


def test_silent_float32_inside_float64_is_inaccurate_in_numpy():
    def trace(x, alpha, sigma, data, weights):
        return right_trace(*(np.float32(value) for value in (x, alpha, sigma, data, weights))).astype(x.dtype)

    assert verdict_of(trace) == Verdict.INACCURATE


def test_silent_float32_inside_float64_is_inaccurate_in_torch():
    torch = pytest.importorskip("torch", reason="the subject is written in torch")

    def trace(x, alpha, sigma, data, weights):
        points, atoms, prior = (np.float32(value.numpy()) for value in (x, data, weights))
        answer = right_trace(points, np.float32(alpha), np.float32(sigma), atoms, prior)
        return torch.tensor(answer).to(x.dtype)

    assert verdict_of(trace, backend="torch", dtype="float64") == Verdict.INACCURATE


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_wrong_power_of_sigma_fails(dtype):
    def trace(x, alpha, sigma, data, weights):
        d = x.dtype.type(x.shape[1])
        return d / sigma**2 - (d / sigma**2 - right_trace(x, alpha, sigma, data, weights)) * sigma

    assert verdict_of(trace, dtype=dtype) == Verdict.FAIL


def test_an_answer_that_depends_on_its_neighbours_fails():
    def trace(x, alpha, sigma, data, weights):
        w = posterior(x, alpha, sigma, data, weights)
        return trace_from(x, alpha, sigma, data, np.broadcast_to(w.mean(axis=0), w.shape))

    assert verdict_of(trace) == Verdict.FAIL


def test_an_argument_changed_in_place_is_an_error_that_names_it():
    def trace(x, alpha, sigma, data, weights):
        answer = right_trace(x, alpha, sigma, data, weights)
        data -= data.mean(axis=0) + 1
        return answer

    result = result_of(trace)
    assert result.verdict == Verdict.ERROR
    assert "'data' in place" in result.message


@pytest.mark.parametrize(
    "faulty",
    [
        lambda x, sigma, alpha, data: len(x) == len(data),
        lambda x, sigma, alpha, data: x.shape[1] > 2,
        lambda x, sigma, alpha, data: x.shape[1] > 1000,
        lambda x, sigma, alpha, data: alpha**2 / sigma**2 > np.exp(10),
        lambda x, sigma, alpha, data: alpha**2 / sigma**2 < np.exp(-10),
        lambda x, sigma, alpha, data: not x.flags.c_contiguous,
        lambda x, sigma, alpha, data: len(x) == 1,
        lambda x, sigma, alpha, data: len(data) == 1,
        lambda x, sigma, alpha, data: len(x) > 1,
        lambda x, sigma, alpha, data: np.abs(data).max() > 50,
        lambda x, sigma, alpha, data: len(np.unique(data, axis=0)) < len(data),
    ],
    ids=["B=N", "d>2", "d>1000", "log-SNR>10", "log-SNR<-10", "strided", "B=1", "N=1", "B>1", "offset", "duplicates"],
)
def test_a_fault_under_one_condition_is_caught_in_the_default_profile(faulty):
    def trace(x, alpha, sigma, data, weights):
        answer = right_trace(x, alpha, sigma, data, weights)
        return answer * 1.01 if faulty(x, sigma, alpha, data) else answer

    assert verdict_of(trace) == Verdict.FAIL


def test_a_fault_under_noise_levels_of_their_own_is_caught():
    def trace(x, alpha, sigma, data, weights):
        return right_trace(x, alpha[0], sigma[0], data, weights)

    assert verdict_of(trace, per_sample_noise=True) == Verdict.FAIL


def test_right_code_for_noise_levels_per_point_passes():
    assert verdict_of(right_trace, per_sample_noise=True, dtype="float32") == Verdict.PASS


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_right_code_for_images_passes(dtype):
    def score(x, alpha, sigma, data, weights):
        points, atoms = x.reshape(len(x), -1), data.reshape(len(data), -1)
        w = posterior(points, alpha, sigma, atoms, weights)
        a, s = columns(alpha, points), columns(sigma, points)
        nearest = atoms[w.argmax(axis=1)]
        shift = (w[..., None] * (atoms - nearest[:, None])).sum(1)
        return (-((points - a * nearest) - a * shift) / s**2).reshape(x.shape)

    assert verdict_of(score, role="score", event_shape=(2, 2, 4), dtype=dtype) == Verdict.PASS


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_right_code_for_alpha_bar_passes(dtype):
    def trace(x, alpha_bar, data, weights):
        return right_trace(x, np.sqrt(alpha_bar), np.sqrt(1 - alpha_bar), data, weights)

    assert verdict_of(trace, dtype=dtype) == Verdict.PASS


def torch_trace(x, alpha, sigma, data, weights):
    distances = (x[:, None] - alpha * data).div(sigma).square().sum(-1)
    w = (weights.log() - distances / 2).softmax(-1)
    nearest = data[w.argmax(-1)]
    differences = data - nearest[:, None]
    centred = (differences - (w[..., None] * differences).sum(1, keepdim=True)) * (alpha / sigma)
    return (x.shape[1] - (w * centred.square().sum(-1)).sum(-1)) / sigma / sigma


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_right_torch_code_is_never_accused(dtype):
    pytest.importorskip("torch", reason="the subject is written in torch")
    result = result_of(torch_trace, backend="torch", dtype=dtype)
    assert result.verdict in (Verdict.PASS, Verdict.VACUOUS), result.message
    assert (result.verdict == Verdict.PASS) == (not result.message)


def test_numbers_beyond_the_range_of_float16_do_not_end_the_run():
    # With 40 times the noise of log-SNR -20 many atoms are infinite in float16: no evidence, and no crash.
    result = result_of(right_trace, dtype="float16", profile="ci")
    assert result.verdict != Verdict.ERROR


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_gaussian_mixtures_can_be_examined(dtype):
    def mean(x, alpha, sigma, means, covariances, weights):
        wide = [np.float64(value) for value in (x, alpha, sigma, means, covariances, weights)]
        x64, a, s, mu, cov, w = wide
        c = a**2 * cov + s**2 * np.eye(x.shape[1])
        residual = x64[:, None] - a * mu
        solved = np.linalg.solve(c[None], residual[..., None])[..., 0]
        logits = np.log(w) - np.linalg.slogdet(c)[1] / 2 - (residual * solved).sum(-1) / 2
        p = np.exp(logits - logits.max(1, keepdims=True))
        each = mu + a * np.einsum("kij,bkj->bki", cov, solved)
        return ((p / p.sum(1, keepdims=True))[..., None] * each).sum(1).astype(x.dtype)

    with np.errstate(all="ignore"):
        verdict = verdict_of(mean, role="posterior_mean", scenario="gaussian-mixture", dtype=dtype)
    assert verdict in (Verdict.PASS, Verdict.VACUOUS)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_right_jax_code_passes(dtype):
    pytest.importorskip("jax", reason="the subject is written in JAX")
    import jax
    import jax.numpy as jnp

    def trace(x, alpha, sigma, data, weights):
        distances = ((x[:, None] - alpha * data) ** 2).sum(-1)
        w = jax.nn.softmax(jnp.log(weights) - distances / (2 * sigma**2), axis=-1)
        centred = data - (w[..., None] * data).sum(1, keepdims=True)
        return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * (w * (centred**2).sum(-1)).sum(-1)

    # One dimension, and once as a whole: JAX compiles anew for each shape, else each operation by itself.
    function = jax.jit(trace) if dtype == "float32" else trace
    assert verdict_of(function, backend="jax", dtype=dtype, event_shape=(2,)) == Verdict.PASS


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_right_trace_matching_from_eps_fn_and_head_fn_passes(dtype):
    def trace(x, t, alpha, sigma, eps_fn, head_fn):
        d = x.dtype.type(x.shape[1])
        mean = (x - sigma * eps_fn(x, t)) / alpha
        return d / sigma**2 - alpha**2 / sigma**4 * (d * head_fn(x, t) - (mean**2).sum(1))

    assert verdict_of(trace, role="fisher_trace_matching", dtype=dtype) == Verdict.PASS


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_right_endpoint_operator_from_eps_passes(dtype):
    def product(x, v, x0, alpha, sigma, eps):
        mean = (x - sigma * eps) / alpha
        along = (x0 * v).sum(1)[:, None] * x0 - (mean * v).sum(1)[:, None] * mean
        return v / sigma**2 - alpha**2 / sigma**4 * along

    assert verdict_of(product, role="fisher_vector_product_endpoint", dtype=dtype) == Verdict.PASS


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_right_endpoint_operator_from_eps_fn_passes(dtype):
    def product(x, v, x0, t, alpha, sigma, eps_fn):
        mean = (x - sigma * eps_fn(x, t)) / alpha
        along = (x0 * v).sum(1)[:, None] * x0 - (mean * v).sum(1)[:, None] * mean
        return v / sigma**2 - alpha**2 / sigma**4 * along

    assert verdict_of(product, role="fisher_vector_product_endpoint", dtype=dtype) == Verdict.PASS


def a_subject(function, role, **options):
    adapter = Adapter("subject", **options)
    adapter.provides(role, function)
    (provided,) = adapter.functions.values()
    return Subject(adapter, load_backend(adapter.backend, adapter.dtype, adapter.device), provided)


def exact_problems(largest=16):
    return [p for p in stratified_problems(Demand(largest_dimension=largest), 3, seed=9) if p.eps_kind == "exact"]


def test_the_jacobian_of_eps_fn_is_sigma_times_the_fisher_matrix():
    torch = pytest.importorskip("torch", reason="the Jacobian is torch's")
    subject = a_subject(lambda x, eps_fn: x, "fisher_vector_product_jvp", backend="torch")
    for problem in exact_problems():
        handed = round_problem(subject, problem)
        eps_fn = epsilon_function(subject.backend, handed, (problem.dimension,))
        alpha, sigma = (problem.values[name].astype(np.longdouble) for name in ("alpha", "sigma"))
        x, data, weights = (problem.values[name].astype(np.longdouble) for name in ("x", "data", "weights"))
        law = DiracMixture(data, weights)
        expected = sigma[:, None, None] * law.fisher(x, alpha, sigma)
        rng = np.random.default_rng(0)

        def shake(a, rng=rng):
            return a * (1 + 2.0**-53 * rng.uniform(-1, 1, a.shape).astype(np.longdouble))

        spread = 0
        for _ in range(8):
            shaken = DiracMixture(shake(data), shake(weights) / weights.sum(), shake)
            a, s = shake(alpha), shake(sigma)
            deviation = s[:, None, None] * shaken.fisher(shake(x), a, s) - expected
            spread = np.maximum(spread, np.linalg.norm(np.float64(deviation), axis=(1, 2)))
        allowed = spread + 2.0**-53 * np.linalg.norm(np.float64(expected), axis=(1, 2))
        for b in range(problem.batch):
            point, time = torch.tensor(problem.values["x"][b]), float(problem.values["t"][b])
            jacobian = torch.func.jacrev(lambda p, t=time, f=eps_fn: f(p[None], t)[0])(point).numpy()
            assert np.linalg.norm(np.float64(jacobian - expected[b])) < 16 * allowed[b], repr(problem)


def test_head_fn_is_the_second_moment_over_the_dimension():
    subject = a_subject(lambda head_fn, x: x, "fisher_trace_matching")
    for problem in exact_problems():
        handed = round_problem(subject, problem)
        found = head_function(subject.backend, handed, (problem.dimension,))(problem.values["x"], problem.values["t"])
        np.testing.assert_allclose(found, handed.values["head"], rtol=1e-9)
