"""The shipped implementations against derivatives of the log density, taken at 50 digits by mpmath."""

import itertools
import math
from types import ModuleType

import mpmath
import numpy as np
import pytest

from afi_verify.implementations import numpy_dirac, numpy_gaussian_mixture

torch = pytest.importorskip("torch")
from afi_verify.implementations import torch_autodiff, torch_dirac, torch_gaussian_mixture  # noqa: E402

ROLES = ("score", "posterior_mean", "fisher", "fisher_vector_product", "fisher_trace")
# Multiples of the spread; direct implementations stay below 6 (a spread is the maximum of 8 draws only).
ALLOWED = 8
DRAWS = 8


def exact(value):
    return np.vectorize(mpmath.mpf, otypes=[object])(np.asarray(value).astype(float))


def rounded(value, rng, eps):
    value = np.asarray(value, object)
    return value * (1 + eps * exact(rng.uniform(-0.5, 0.5, value.shape)))


def norm(value):
    return mpmath.sqrt(mpmath.fsum(entry**2 for entry in np.ravel(value)))


class Density:
    """``log q_t`` of a mixture of Gaussians at 50 digits, and what its derivatives say; nothing else."""

    def __init__(self, alpha, sigma, means, covariances, weights):
        self.alpha, self.sigma = alpha, sigma
        self.components = []
        for mean, covariance, weight in zip(means, covariances, weights, strict=True):
            if weight > 0:
                noise = mpmath.eye(len(mean)) * self.sigma**2
                spread = mpmath.matrix(covariance.tolist()) * self.alpha**2 + noise
                log_weight = mpmath.log(weight) - mpmath.log(mpmath.det(spread)) / 2
                centre = [self.alpha * m for m in mean]
                self.components.append((log_weight, centre, (spread**-1).tolist()))

    def distances(self, point):
        for _, centre, precision in self.components:
            r = [a - b for a, b in zip(point, centre, strict=True)]
            yield sum(p * a * b for row, a in zip(precision, r, strict=True) for p, b in zip(row, r, strict=True) if p)

    def log(self, *point):
        terms = [c[0] - q / 2 for c, q in zip(self.components, self.distances(point), strict=True)]
        top = max(terms)
        return top + mpmath.log(sum(mpmath.exp(term - top) for term in terms))

    def round_distances(self, point, rng, eps):
        """What one rounding of each squared distance does: it shifts the log weights."""
        rounded = zip(self.components, list(self.distances(point)), strict=True)
        self.components = [(c[0] + q * (eps * rng.uniform(-0.5, 0.5)), *c[1:]) for c, q in rounded]

    def answers(self, x, v):
        d, point = len(x), list(x)
        unit = np.eye(d, dtype=int)
        gradient = [mpmath.diff(self.log, point, tuple(int(n) for n in unit[i])) for i in range(d)]
        matrix = np.empty((d, d), object)
        for i, j in itertools.combinations_with_replacement(range(d), 2):
            order = tuple(int(n) for n in unit[i] + unit[j])
            matrix[i, j] = matrix[j, i] = -mpmath.diff(self.log, point, order)
        tweedie = [(p + self.sigma**2 * g) / self.alpha for p, g in zip(point, gradient, strict=True)]
        values = gradient, tweedie, matrix, matrix @ v, np.trace(matrix)
        return dict(zip(ROLES, (np.asarray(value, object) for value in values), strict=True))


class Case:
    """Inputs representable in ``dtype``, the exact answers, and the spread that one rounding causes."""

    def __init__(self, log_snr, dtype, offset, gaussian, seed):
        rng = np.random.default_rng(seed)
        batch, n, d = ((2, 4, 3), (3, 3, 2), (1, 2, 1), (2, 1, 3))[seed % 4]
        log_snr = log_snr + 0.1 * np.arange(batch)
        self.alpha = (1 / np.sqrt(1 + np.exp(-log_snr))).astype(dtype)
        self.sigma = (1 / np.sqrt(1 + np.exp(log_snr))).astype(dtype)
        # Neighbours as far apart as the noise is wide, so that several share the posterior.
        ratio = math.exp(-log_snr[0] / 2)
        self.means = (offset + min(1.0, ratio) * rng.standard_normal((n, d))).astype(dtype)
        factor = min(1.0, ratio) * rng.standard_normal((n, d, d)) * gaussian
        self.covariances = (factor @ factor.transpose(0, 2, 1)).astype(dtype)
        self.covariances = (self.covariances + self.covariances.transpose(0, 2, 1)) / 2
        self.weights = rng.uniform(0.1, 1, n).astype(dtype)
        self.weights[1:2] = 0
        middle = self.alpha[:, None] * self.means.astype(float).mean(axis=0)
        self.x = (middle + self.sigma[:, None] * rng.standard_normal((batch, d))).astype(dtype)
        self.v = rng.standard_normal((batch, d)).astype(dtype)
        self.eps = float(np.finfo(dtype).eps)
        self.gaussian = gaussian
        self.truth, self.spread = [], []
        for b in range(batch):
            inputs = self.alpha[b], self.sigma[b], self.means, self.covariances, self.weights
            inputs = [exact(value) for value in inputs]
            inputs[:2] = inputs[0][()], inputs[1][()]
            x, v = exact(self.x[b]), exact(self.v[b])
            truth = Density(*inputs).answers(x, v)
            spread = dict.fromkeys(ROLES, mpmath.mpf(0))
            for _ in range(DRAWS):
                shaken = [rounded(value, rng, self.eps) for value in inputs]
                shaken[3] = (shaken[3] + shaken[3].transpose(0, 2, 1)) / 2
                point = rounded(x, rng, self.eps)
                density = Density(*shaken)
                density.round_distances(point, rng, self.eps)
                answers = density.answers(point, rounded(v, rng, self.eps))
                for role in ROLES:
                    spread[role] = max(spread[role], norm(answers[role] - truth[role]))
            self.truth.append(truth)
            self.spread.append({role: spread[role] + self.eps * norm(truth[role]) for role in ROLES})


def call(module: ModuleType, case, role, event_shape=(), noise=None):
    """Call ``role`` of ``module`` on copies of the case's arrays and check that they come back unchanged."""
    shape = event_shape or case.x.shape[1:]
    x, v = case.x.reshape(-1, *shape), case.v.reshape(-1, *shape)
    alpha, sigma = (case.alpha, case.sigma) if noise is None else noise
    arrays = [
        x,
        *([v] if role == "fisher_vector_product" else []),
        alpha,
        sigma,
        case.means.reshape(-1, *shape),
    ]
    arrays += [*([case.covariances] if case.gaussian else []), case.weights]
    convert = torch.tensor if "torch" in module.__name__ else np.array
    given = [value if isinstance(value, float) else convert(value) for value in arrays]
    result = np.asarray(getattr(module, role)(*given))
    assert result.dtype == x.dtype
    for before, after in zip(arrays, given, strict=True):
        np.testing.assert_array_equal(np.asarray(after), before)
    return result


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("offset", [0, 1000])
@pytest.mark.parametrize("log_snr", [-20, -5, 0, 5, 20])
@pytest.mark.parametrize("gaussian", [False, True], ids=["dirac", "gaussian"])
def test_every_role_is_as_accurate_as_its_inputs_allow(gaussian, log_snr, offset, dtype):
    with mpmath.workdps(50):
        case = Case(log_snr, dtype, offset, gaussian, seed=(log_snr // 5 + (dtype == "float64")) % 4)
        modules = (numpy_gaussian_mixture, torch_gaussian_mixture) if gaussian else (numpy_dirac, torch_dirac)
        for module, role in itertools.product(modules, ROLES):
            answers = call(module, case, role)
            for answer, truth, spread in zip(answers, case.truth, case.spread, strict=True):
                assert np.isfinite(answer).all()
                multiple = float(norm(exact(answer) - truth[role]) / spread[role])
                assert multiple <= ALLOWED, (module.__name__, role, multiple)


@pytest.mark.parametrize("gaussian", [False, True], ids=["dirac", "gaussian"])
def test_event_shape_and_scalar_noise_change_nothing(gaussian):
    rng = np.random.default_rng(3)
    case = Case.__new__(Case)
    case.gaussian, case.alpha, case.sigma = gaussian, np.full(2, 0.8), np.full(2, 0.6)
    case.x, case.v, case.means = (rng.standard_normal((n, 12)) for n in (2, 2, 3))
    case.covariances, case.weights = np.stack([np.eye(12)] * 3), np.ones(3)
    modules = (numpy_gaussian_mixture, torch_gaussian_mixture) if gaussian else (numpy_dirac, torch_dirac)
    for module, role in itertools.product(modules, ROLES):
        flat = call(module, case, role)
        shaped = call(module, case, role, (3, 2, 2), noise=(0.8, 0.6))
        assert shaped.shape == ((2, 3, 2, 2) if flat.shape == (2, 12) else flat.shape)
        np.testing.assert_allclose(shaped.ravel(), flat.ravel(), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("log_snr", [-20.0, 0.0, 20.0])
def test_low_precision_stays_finite_and_keeps_its_dtype(dtype, log_snr):
    kind, (x, data) = getattr(torch, dtype), torch.randn(2, 3, 1024, generator=torch.manual_seed(0))
    alpha, sigma = (1 + math.exp(-log_snr)) ** -0.5, (1 + math.exp(log_snr)) ** -0.5
    x, data = (4 * x + 1000).to(kind), (4 * data + 1000).to(kind)
    # 1 / sigma^2 = 4.9e8 lies outside float16, and so do a score and F with it.
    roles = ("posterior_mean",) if dtype == "float16" and log_snr > 0 else ROLES[:2] + ROLES[3:]
    for role in roles:
        arguments = (x, x, alpha, sigma, data) if role == "fisher_vector_product" else (x, alpha, sigma, data)
        result = getattr(torch_dirac, role)(*arguments)
        assert result.dtype == kind
        assert result.isfinite().all(), role
        if dtype != "bfloat16":
            arrays = [value if isinstance(value, float) else value.numpy() for value in arguments]
            result = getattr(numpy_dirac, role)(*arrays)
            assert result.dtype == x.numpy().dtype
            assert np.isfinite(result).all(), role
    covariances = torch.eye(4, dtype=kind).expand(3, 4, 4)
    for role in ROLES:
        extra = (x[:, :4],) if role == "fisher_vector_product" else ()
        arguments = (x[:, :4], *extra, alpha, sigma, data[:, :4], covariances)
        result = getattr(torch_gaussian_mixture, role)(*arguments)
        assert result.dtype == kind
        assert result.isfinite().all(), role


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("log_snr", [-20, 0, 20])
def test_closed_forms(log_snr, dtype):
    with mpmath.workdps(50):
        case = Case(log_snr, dtype, 3, False, seed=1)
        d, eps = case.x.shape[1], case.eps
        x0 = case.means[: len(case.x)]
        noise_prediction, head, traces, products, scales = [], [], [], [], []
        for b, truth in enumerate(case.truth):
            a, s, x, v = (exact(value[b]) for value in (case.alpha, case.sigma, case.x, case.v))
            a, s, mean = a[()], s[()], truth["posterior_mean"]
            noise_prediction.append((-s * truth["score"]).astype(dtype))
            variance = s**4 / a**2 * (d / s**2 - truth["fisher_trace"][()])
            head.append(np.dtype(dtype).type((mean @ mean + variance) / d))
            traces.append(truth["fisher_trace"][()])
            outer = np.outer(exact(x0[b]), exact(x0[b])) - np.outer(mean, mean)
            products.append((np.eye(d, dtype=int) / s**2 - a**2 / s**4 * outer) @ v)
            # First-order effect of one rounding of each input and intermediate; only rounding inputs of these
            # sums of products is allowed for, nothing for cancellation beyond it.
            scale = norm(x) + norm(s * exact(noise_prediction[-1]))
            second = head[-1] * d + 2 * norm(mean) * scale / a + norm(exact(x0[b])) ** 2
            scales.append(eps * (d / s**2 + a**2 / s**4 * second))
        arrays = case.x, case.v, x0, np.stack(noise_prediction), np.stack(head), case.alpha, case.sigma
        for module, convert in ((numpy_dirac, np.array), (torch_dirac, torch.tensor)):
            x, v, end, eps_x, heads, alpha, sigma = (convert(value) for value in arrays)
            trace = np.asarray(module.fisher_trace_matching(x, alpha, sigma, eps_x, heads))
            product = np.asarray(module.fisher_vector_product_endpoint(x, v, end, eps_x, alpha, sigma))
            assert trace.dtype == product.dtype == dtype
            for b, scale in enumerate(scales):
                assert abs(exact(trace[b])[()] - traces[b]) <= ALLOWED * scale
                assert norm(exact(product[b]) - products[b]) <= ALLOWED * scale * norm(case.v[b])


# torch emits this on the first use of its own forward mode.
@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
def test_autodiff_tells_the_jacobian_from_its_transpose():
    generator = torch.manual_seed(1)
    matrix, x, v = (torch.randn(*s, generator=generator).double() for s in ((6, 6), (4, 3, 2), (4, 3, 2)))
    sigma, t = torch.tensor([0.5, 1.0, 2.0, 4.0]).double(), torch.arange(1.0, 5.0).double()

    def eps_fn(points, time):
        flat = points.flatten(1)
        return (time[:, None] * (flat @ matrix.T + flat**3)).reshape(points.shape)

    jacobian = t[:, None, None] * (matrix + 3 * torch.diag_embed(x.flatten(1) ** 2)) / sigma[:, None, None]
    with torch.no_grad():
        vjp = torch_autodiff.fisher_vector_product_vjp(eps_fn, x, v, t, sigma).flatten(1)
        jvp = torch_autodiff.fisher_vector_product_jvp(eps_fn, x, v, t, sigma).flatten(1)
        trace = torch_autodiff.fisher_trace_autodiff(eps_fn, x, t, sigma)
        estimate = torch_autodiff.fisher_trace_hutchinson(eps_fn, x, t, sigma, 20_000, seed=0)
    torch.testing.assert_close(vjp, (jacobian.mT @ v.flatten(1)[..., None])[..., 0])
    torch.testing.assert_close(jvp, (jacobian @ v.flatten(1)[..., None])[..., 0])
    assert (vjp - jvp).abs().max() > 0.1
    exact_trace = jacobian.diagonal(dim1=1, dim2=2).sum(1)
    torch.testing.assert_close(trace, exact_trace)
    # 6 standard deviations: a false alarm once in 5e8.
    symmetric = (jacobian + jacobian.mT) / 2
    off = symmetric.square().sum((1, 2)) - symmetric.diagonal(dim1=1, dim2=2).square().sum(1)
    assert ((estimate - exact_trace).abs() <= 6 * (2 * off / 20_000).sqrt()).all()


def test_chunks_change_neither_the_trace_nor_the_probes(monkeypatch):
    x = torch.randn(2, 7, generator=torch.manual_seed(2)).double()

    def roll(points, _):
        return torch.sin(points) * points.roll(1, 1)

    def results():
        stochastic = torch_autodiff.fisher_trace_hutchinson(roll, x, 0.0, 0.5, 9, seed=3)
        return torch.stack([torch_autodiff.fisher_trace_autodiff(roll, x, 0.0, 0.5), stochastic])

    whole = results()
    monkeypatch.setattr(torch_autodiff, "_CHUNK_ELEMENTS", 30)
    torch.testing.assert_close(results(), whole)


def test_hutchinson_is_exact_for_a_diagonal_jacobian():
    x = torch.linspace(-1, 1, 10).double().reshape(2, 5)
    for probes in (1, 7):
        estimate = torch_autodiff.fisher_trace_hutchinson(lambda z, _: z**2, x, 0.0, 0.5, probes, seed=probes)
        torch.testing.assert_close(estimate, 4 * x.sum(dim=1))


def test_the_torch_score_can_be_differentiated():
    generator = torch.manual_seed(4)
    x, data = torch.randn(2, 3, generator=generator).double(), torch.randn(5, 3, generator=generator).double()
    weights = torch.tensor([0.0, 1.0, 2.0, 3.0, 1e-320]).double()

    def eps_fn(points, _):
        return -0.6 * torch_dirac.score(points, 0.8, 0.6, data, weights)

    trace = torch_autodiff.fisher_trace_autodiff(eps_fn, x, 0.0, 0.6)
    torch.testing.assert_close(trace, torch_dirac.fisher_trace(x, 0.8, 0.6, data, weights))


@pytest.mark.parametrize("module", [numpy_dirac, torch_dirac], ids=["numpy", "torch"])
def test_unusable_arguments_are_named(module):
    ones = np.ones if module is numpy_dirac else torch.ones
    x, data = ones((2, 3)), ones((4, 3))
    with pytest.raises(ValueError, match="sigma must be positive"):
        module.score(x, 1.0, 0.0, data)
    with pytest.raises(ValueError, match="data must"):
        module.score(x, 1.0, 1.0, data[:, :2])
    with pytest.raises(ValueError, match="alpha must"):
        module.score(x, ones(3), 1.0, data)
    with pytest.raises(ValueError, match="weights must"):
        module.score(x, 1.0, 1.0, data, -ones(4))
    with pytest.raises(ValueError, match="v must"):
        module.fisher_vector_product(x, data, 1.0, 1.0, data)
