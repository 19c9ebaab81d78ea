"""The torch solvers of the flow, its likelihood and its adjoint, against the oracle of the flow."""

import functools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from afi_reference import GaussianMixture  # noqa: E402
from afi_reference.flow import FlowOracle  # noqa: E402
from afi_reference.schedules import EDM, RectifiedFlow, VPLinear  # noqa: E402
from afi_verify.implementations import torch_adjoint  # noqa: E402
from afi_verify.implementations import torch_likelihood as likelihood  # noqa: E402
from afi_verify.implementations.torch_solvers import ORDERS, SOLVERS, solve_flow, step_times  # noqa: E402

SPANS = {"vp-linear": (VPLinear(), 0.05, 0.7), "rectified-flow": (RectifiedFlow(), 0.2, 0.8), "edm": (EDM(), 0.3, 4.0)}


class Flow:
    """A Gaussian mixture under a schedule: the truth, and the functions that the solvers take."""

    def __init__(self, name, shape=(3,), dtype=torch.float64):
        self.name = name
        self.schedule, self.start, self.end = SPANS[name]
        rng = np.random.default_rng(1)
        d = math.prod(shape)
        factors = rng.normal(size=(3, d, d))
        covariances = 0.1 * (factors @ factors.swapaxes(1, 2)) + 0.1 * np.eye(d)
        covariances = covariances + covariances.swapaxes(1, 2)
        numbers = rng.normal(size=(3, d)), covariances, np.array([0.2, 0.3, 0.5])
        self.law = GaussianMixture(*numbers)
        self.x = self.schedule.alpha(self.start) * numbers[0][:2] + 0.3 * rng.normal(size=(2, d))
        self.v = rng.normal(size=(2, d))
        self.points, self.directions = (torch.tensor(a, dtype=dtype).reshape(2, *shape) for a in (self.x, self.v))
        self.parameters = [torch.tensor(a, dtype=dtype) for a in numbers]
        self.span = self.schedule, self.start, self.end
        self.widths, self.axes = torch.linalg.eigh(self.parameters[1])

    def parts(self, x, t):
        """Score (B, d), and what F is made of: weights (B, K), precisions (K, d, d), scores (B, K, d)."""
        alpha, sigma = float(self.schedule.alpha(t)), float(self.schedule.sigma(t))
        means, _, weights = self.parameters
        spectra = 1 / (alpha**2 * self.widths + sigma**2)
        precisions = (self.axes * spectra[:, None]) @ self.axes.mT
        away = x.flatten(1)[:, None] - alpha * means
        scores = -torch.einsum("kij,bkj->bki", precisions, away)
        logits = weights.log() + spectra.log().sum(1) / 2 + (scores * away).sum(2) / 2
        posterior = logits.softmax(1)
        return (posterior[:, :, None] * scores).sum(1), posterior, precisions, scores

    def eps(self, x, t):
        return -float(self.schedule.sigma(t)) * self.parts(x, t)[0].reshape(x.shape)

    def trace(self, x, t):
        score, posterior, precisions, scores = self.parts(x, t)
        inner = torch.einsum("kii->k", precisions) - scores.square().sum(2)
        return (posterior * inner).sum(1) + score.square().sum(1)

    def operator(self, x, t, v):
        score, posterior, precisions, scores = self.parts(x, t)
        flat = v.flatten(1)
        products = torch.einsum("kij,bj->bki", precisions, flat) - scores * (scores * flat[:, None]).sum(2)[..., None]
        product = (posterior[:, :, None] * products).sum(1) + score * (score * flat).sum(1)[:, None]
        return product.reshape(v.shape)

    def errors(self, steps, **options):
        """Errors of the map, the log-determinant and the adjoint state."""
        found = (
            *likelihood.flow_and_log_determinant(self.points, self.eps, self.trace, *self.span, steps, **options),
            torch_adjoint.adjoint(self.points, self.directions, self.eps, self.operator, *self.span, steps, **options),
        )
        right = truth(self.name)
        return np.array([np.abs(a.reshape(b.shape).numpy() - b).max() for a, b in zip(found, right, strict=True)])


@functools.cache
def truth(name):
    """The map, its log-determinant and the adjoint state, by the oracle."""
    flow = Flow(name)
    oracle, span = FlowOracle(flow.law, flow.schedule), (flow.start, flow.end)
    found = oracle.transport(flow.x, *span), oracle.log_determinant(flow.x, *span)
    return tuple(result.value for result in (*found, oracle.adjoint(flow.x, flow.v, *span)))


@pytest.mark.parametrize(("name", "spacing"), [*((name, "log_snr") for name in SPANS), ("rectified-flow", "time")])
@pytest.mark.parametrize("solver", sorted(ORDERS))
def test_orders_of_convergence(name, solver, spacing):
    flow = Flow(name)
    coarse, fine = (flow.errors(steps, solver=solver, spacing=spacing) for steps in (32, 64))
    np.testing.assert_allclose(np.log2(coarse / fine), ORDERS[solver], atol=0.25)


@pytest.mark.parametrize("name", SPANS)
def test_adaptive_keeps_its_tolerance(name):
    flow = Flow(name)
    for tolerance in (1e-4, 1e-8):
        assert flow.errors(1, solver="adaptive", tolerance=tolerance).max() < 100 * tolerance


@pytest.mark.parametrize("solver", SOLVERS)
def test_shapes_and_dtypes(solver):
    flow, other = Flow("vp-linear", (2, 1, 2), torch.float32), Flow("vp-linear", (4,))
    before = flow.points.clone()
    for a, b in (
        (likelihood.log_likelihood(f.points, f.eps, f.trace, *f.span, 8, solver=solver) for f in (flow, other)),
        (
            torch_adjoint.adjoint(f.points, f.directions, f.eps, f.operator, *f.span, 8, solver=solver)
            for f in (flow, other)
        ),
    ):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a.reshape(b.shape).double(), b, rtol=1e-3, atol=1e-3)
    assert torch.equal(flow.points, before)


def test_log_likelihood_with_prior_and_with_exact_end():
    flow = Flow("rectified-flow")
    exact = flow.law.log_density(flow.x, flow.schedule.alpha(flow.start), flow.schedule.sigma(flow.start))

    def density(x):
        numbers = flow.law.log_density(x.numpy(), flow.schedule.alpha(flow.end), flow.schedule.sigma(flow.end))
        return torch.tensor(np.asarray(numbers))

    options = {"solver": "adaptive", "tolerance": 1e-9}
    arguments = (flow.points, flow.eps, flow.trace, *flow.span)
    found = likelihood.log_likelihood(*arguments, prior_log_density=density, **options)
    np.testing.assert_allclose(found, exact, rtol=1e-7)
    end = solve_flow(flow.points, flow.eps, *flow.span, **options)
    prior = torch.distributions.Normal(0.0, float(flow.schedule.sigma(flow.end))).log_prob(end).sum(dim=1)
    found = likelihood.log_likelihood(*arguments, **options)
    np.testing.assert_allclose(found, exact - density(end).numpy() + prior.numpy(), rtol=1e-7)
    np.testing.assert_allclose(likelihood.bits_per_dim(found, 3), -found.numpy() / (3 * np.log(2)))


def test_traces_agree():
    flow = Flow("edm")
    t, x = 1.0, flow.points
    right = flow.trace(x, t)
    torch.testing.assert_close(likelihood.gaussian_mixture_trace(flow.schedule, *flow.parameters)(x, t), right)
    torch.testing.assert_close(likelihood.autodiff_trace(flow.schedule, flow.eps)(x, t), right)
    sigma = flow.schedule.sigma(t)
    mean = x - sigma * flow.eps(x, t)
    head = (3 * sigma**2 - sigma**4 * right + mean.square().sum(dim=1)) / 3
    matching = likelihood.matching_trace(flow.schedule, flow.eps, lambda x, t: head)
    torch.testing.assert_close(matching(x, t), right)
    for estimator in likelihood.ESTIMATORS:
        trace = likelihood.stochastic_trace(flow.schedule, flow.eps, 4096, 0, estimator)
        torch.testing.assert_close(trace(x, t), right, rtol=0.1, atol=0)
    torch.testing.assert_close(likelihood.trivial_trace(flow.schedule)(x, t), torch.full((2,), 3.0).double())


# torch itself calls what it has deprecated, the first time that it differentiates forward.
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
def test_operators_agree():
    flow = Flow("vp-linear")
    t, x, v = 0.3, flow.points, flow.directions
    right = flow.operator(x, t, v)
    exact = torch_adjoint.gaussian_mixture_operator(flow.schedule, *flow.parameters)
    torch.testing.assert_close(exact(x, t, v), right)
    for make in (torch_adjoint.vjp_operator, torch_adjoint.jvp_operator):
        torch.testing.assert_close(make(flow.schedule, flow.eps)(x, t, v), right)
    sigma, alpha = float(flow.schedule.sigma(t)), float(flow.schedule.alpha(t))
    endpoint = torch_adjoint.endpoint_operator(flow.schedule, flow.eps, torch.zeros_like(x))(x, t, v)
    mean = (x - sigma * flow.eps(x, t)) / alpha
    torch.testing.assert_close(endpoint, v / sigma**2 + (alpha / sigma**2) ** 2 * (mean * v).sum(1)[:, None] * mean)
    torch.testing.assert_close(torch_adjoint.trivial_operator(flow.schedule)(x, t, v), v / sigma**2)


def test_exact_operators_for_diracs():
    atoms = torch.tensor([[0.0, 1.0], [1.0, 0.5], [-1.0, 0.0]], dtype=torch.float64)
    schedule, t, x = RectifiedFlow(), 0.5, torch.tensor([[0.1, 0.2]], dtype=torch.float64)
    columns = [torch_adjoint.dirac_operator(schedule, atoms)(x, t, v[None])[0] for v in torch.eye(2).double()]
    trace = likelihood.dirac_trace(schedule, atoms)(x, t)
    torch.testing.assert_close(torch.stack(columns).trace()[None], trace)


def test_adjoint_is_the_gradient_through_the_solver():
    flow = Flow("rectified-flow")
    target = torch.ones(3).double()

    def loss(x):
        return (x - target).square().sum(dim=1)

    def final(x):
        # The map as the solver finds it, differentiated by finite differences.
        return loss(solve_flow(x, flow.eps, *flow.span, 60))

    end = solve_flow(flow.points, flow.eps, *flow.span, 60)
    gradient = torch_adjoint.loss_gradient(loss, end)
    found = torch_adjoint.adjoint(flow.points, gradient, flow.eps, flow.operator, *flow.span, 60)
    for k in range(3):
        step = torch.zeros(3).double()
        step[k] = 1e-5
        difference = (final(flow.points + step) - final(flow.points - step)) / 2e-5
        torch.testing.assert_close(found[:, k], difference, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("method", ["vjp", "endpoint"])
def test_guidance_lowers_the_loss(method):
    flow = Flow("rectified-flow")
    x = torch.randn(64, 3, generator=torch.Generator().manual_seed(0)).double()
    times = step_times(flow.schedule, 0.95, 0.02, 20)
    target = torch.tensor([1.0, -1.0, 0.0]).double()

    def loss(x):
        return (x - target).square().sum(dim=1)

    def operator(end):
        if method == "vjp":
            return torch_adjoint.vjp_operator(flow.schedule, flow.eps)
        return torch_adjoint.endpoint_operator(flow.schedule, flow.eps, end)

    arguments = (x, flow.eps, operator, flow.schedule, times, loss)
    unguided, guided, *_ = (
        torch_adjoint.guided_sample(*arguments, window=window) for window in (range(0), range(8, 16))
    )
    torch.testing.assert_close(unguided, solve_flow(x, flow.eps, flow.schedule, 0.95, 0.02, 20, solver="ddim"))
    assert loss(guided).mean() < 0.8 * loss(unguided).mean()


def test_errors_say_what_is_wrong():
    flow = Flow("edm")
    arguments = (flow.points, flow.eps, flow.schedule, 0.3, 4.0)
    for options, message in (
        ({"solver": "rk45"}, "choose one of: euler"),
        ({"spacing": "cosine"}, "choose one of: log_snr"),
        ({"num_steps": 0}, "at least 1"),
        ({"solver": "adaptive", "tolerance": 0.0}, "must be positive"),
    ):
        with pytest.raises(ValueError, match=message):
            solve_flow(*arguments, **options)
    with pytest.raises(ValueError, match="a little short"):
        solve_flow(flow.points, flow.eps, RectifiedFlow(), 0.1, 1.0)
    with pytest.raises(ValueError, match="not finite"):
        solve_flow(*(flow.points * math.nan, *arguments[1:]), solver="adaptive")
    with pytest.raises(ValueError, match="one number per sample"):
        torch_adjoint.loss_gradient(lambda x: x.sum(), flow.points)
    with pytest.raises(ValueError, match="shape of x"):
        torch_adjoint.adjoint(flow.points, flow.directions[:1], flow.eps, flow.operator, *flow.span)
    with pytest.raises(ValueError, match="trace_fn must return"):
        likelihood.log_likelihood(flow.points, flow.eps, lambda x, t: x, *flow.span)


def test_bisection_where_the_schedule_has_no_inverse():
    class Plain:
        alpha, sigma = staticmethod(RectifiedFlow().alpha), staticmethod(RectifiedFlow().sigma)

    np.testing.assert_allclose(step_times(Plain(), 0.2, 0.8, 7), step_times(RectifiedFlow(), 0.2, 0.8, 7), rtol=1e-12)
