"""The map of Theorem 1 and its Jacobian: three routes, the oracle, closed forms, and every schedule."""

import functools

import numpy as np
import pytest
import sympy

from afi_reference import DiracMixture
from afi_reference.flow import FlowOracle
from afi_reference.schedules import EDM, RectifiedFlow, SubVP, VEGeometric, VPCosine, VPLinear
from afi_verify.implementations import numpy_mixture_transport, numpy_transport

torch = pytest.importorskip("torch")
from afi_verify.implementations import torch_transport  # noqa: E402

TRIANGLE = np.array([[0.5, 0.0], [0.0, -0.5], [0.0, 0.0]])  # the three atoms of the paper's experiment
PLANE = np.array([[0.6, 0.8], [0.8, -0.6]])  # a rotation
DATA = {
    "one atom": np.array([[1.0, -2.0]]),
    "one dimension": np.array([[-1.0], [0.2], [2.0]]),
    "collinear": np.array([-1.0, 0.3, 1.1])[:, None] * [[0.6, 0.8]] + [3.0, 1.0],
    "product": np.array([[-0.5, -0.7], [-0.5, 0.7], [0.5, -0.7], [0.5, 0.7]]) @ PLANE,
    "triangle": TRIANGLE,
    "general": np.random.default_rng(1).standard_normal((5, 3)),
    "far away": TRIANGLE + 100.0,
}
NOT_OPTIMAL = ("triangle", "general", "far away")
SCHEDULES = {
    "vp": VPLinear(),
    "vp-cosine": VPCosine(),
    "sub-vp": SubVP(),
    "ve": VEGeometric(),
    "edm": EDM(),
    "rectified-flow": RectifiedFlow(),
}
LOG_SNR = 3.0, -3.0


def times(schedule, reverse=False):
    levels = LOG_SNR[::-1] if reverse else LOG_SNR
    return tuple(float(schedule.time_of_log_snr(np.float64(level))) for level in levels)


def points(data, schedule, t, count=2, seed=0):
    rng = np.random.default_rng(seed)
    clean = data[rng.integers(len(data), size=count)]
    return schedule.alpha(t) * clean + schedule.sigma(t) * rng.standard_normal(clean.shape)


@functools.cache
def routes(name, schedule_name="vp", reverse=False):
    schedule, data = SCHEDULES[schedule_name], DATA[name]
    ends = times(schedule, reverse)
    x = points(data, schedule, ends[0], count=1)
    torch_jacobian = torch_transport.transport_jacobian(torch.tensor(x), torch.tensor(data), schedule, *ends)
    return {
        "oracle": FlowOracle(DiracMixture(data), schedule).transport_jacobian(x, *ends).value,
        "fundamental matrix": numpy_transport.transport_jacobian(x, data, schedule, *ends),
        "differences": numpy_transport.transport_jacobian_by_differences(x, data, schedule, *ends),
        "autograd": torch_jacobian.numpy(),
    }


@pytest.mark.parametrize("reverse", [False, True], ids=["to noise", "to data"])
@pytest.mark.parametrize("name", DATA)
def test_three_routes_to_the_jacobian_agree(name, reverse):
    answers = routes(name, reverse=reverse)
    scale = np.linalg.norm(answers["oracle"], axis=(1, 2)).min()
    for route, answer in answers.items():
        assert np.abs(answer - answers["oracle"]).max() <= 1e-9 * scale, route


@pytest.mark.parametrize("name", DATA)
def test_symmetry_and_positivity_are_those_of_the_structure(name):
    jacobian = routes(name)["fundamental matrix"]
    asymmetry = numpy_transport.asymmetry(jacobian)
    if name in NOT_OPTIMAL:
        assert (asymmetry > 1e-4).all()
    else:
        assert (asymmetry < 1e-9).all()
        assert (np.linalg.eigvalsh((jacobian + jacobian.swapaxes(1, 2)) / 2) > 0).all()
    assert (np.linalg.det(jacobian) > 0).all()  # Liouville: the exponential of an integral


@pytest.mark.parametrize("name", ["collinear", "triangle"])
def test_the_criterion_looks_at_symmetry(name):
    schedule = SCHEDULES["edm"]
    ends = times(schedule)
    x = points(DATA[name], schedule, ends[0])
    answer = numpy_transport.transport_is_optimal(x.astype(np.float32), DATA[name], schedule, *ends)
    assert answer.dtype == bool
    assert (answer == (name not in NOT_OPTIMAL)).all()


def test_the_flow_in_units_of_the_noise_knows_no_schedule():
    t, mean, x = sympy.symbols("t m x", real=True)
    alpha, sigma = sympy.Function("alpha")(t), sympy.Function("sigma")(t)
    f = alpha.diff(t) / alpha
    g2 = (sigma**2).diff(t) - 2 * f * sigma**2
    velocity = f * x - g2 / 2 * (alpha * mean - x) / sigma**2  # eq. 5 with the score of eq. 27
    path = sympy.Function("x")(t)
    slope = (path / sigma).diff(t).subs(path.diff(t), velocity.subs(x, path))
    assert sympy.simplify(slope - mean * (alpha / sigma).diff(t)) == 0


@pytest.mark.parametrize("route", ["fundamental matrix", "differences", "autograd"])
def test_schedules_with_the_same_ends_have_the_same_map(route):
    reference, answers = VPLinear(), {}
    s, e = times(reference)
    start, end = reference.sigma(s), reference.sigma(e)
    x = points(TRIANGLE, reference, s) / start
    for name, schedule in SCHEDULES.items():
        first, last = times(schedule)
        scaled, scale = x * schedule.sigma(first), schedule.sigma(first) / schedule.sigma(last)
        if route == "autograd":
            arguments = torch.tensor(scaled), torch.tensor(TRIANGLE), schedule, first, last
            jacobian = torch_transport.transport_jacobian(*arguments).numpy()
            ends = torch_transport.transport_map(*arguments).numpy()
        else:
            suffix = "_by_differences" if route == "differences" else ""
            function = getattr(numpy_transport, f"transport_jacobian{suffix}")
            jacobian = function(scaled, TRIANGLE, schedule, first, last)
            ends = numpy_transport.transport_map(scaled, TRIANGLE, schedule, first, last)
        answers[name] = jacobian * scale, ends / schedule.sigma(last)
    truth = FlowOracle(DiracMixture(TRIANGLE), reference).transport_jacobian(x * start, s, e).value * start / end
    for name, (jacobian, ends) in answers.items():
        np.testing.assert_allclose(jacobian, truth, atol=1e-8 * np.abs(truth).max(), err_msg=name)
        np.testing.assert_allclose(ends, answers["edm"][1], atol=1e-8, err_msg=name)


def test_the_matrix_of_theorem_1_has_the_corrected_sign():
    schedule, t, h = VPLinear(), 0.4, 1e-4
    x = points(TRIANGLE, schedule, t)
    later = numpy_transport.transport_jacobian(x, TRIANGLE, schedule, t - h, t + h)
    generator = numpy_transport.theorem_1_matrix(x, t, TRIANGLE, schedule)
    slope = (np.eye(2) - later) / (2 * h)  # A' = A B at A = I
    np.testing.assert_allclose(generator, slope, atol=1e-2 * np.abs(slope).max())
    printed = generator + 2 * schedule.f(t) * np.eye(2)
    assert np.abs(printed - slope).max() > 0.2 * np.abs(slope).max()


def test_event_shapes_weights_and_dtypes():
    schedule = RectifiedFlow()
    data, weights = np.random.default_rng(2).standard_normal((4, 2, 3)), np.array([0.0, 1.0, 2.0, 3.0])
    x = np.random.default_rng(3).standard_normal((2, 2, 3)).astype(np.float32)
    flat = numpy_transport.transport_map(x.reshape(2, 6), data.reshape(4, 6), schedule, 0.3, 0.8, weights)
    shaped = numpy_transport.transport_map(x, data, schedule, 0.3, 0.8, weights)
    other = torch_transport.transport_map(
        torch.tensor(x), torch.tensor(data), schedule, 0.3, 0.8, torch.tensor(weights)
    )
    assert shaped.dtype == np.float32
    assert shaped.shape == x.shape
    np.testing.assert_array_equal(shaped.reshape(2, 6), flat)
    np.testing.assert_allclose(other.numpy(), shaped, rtol=1e-6)
    assert numpy_transport.transport_jacobian(x, data, schedule, 0.3, 0.8, weights).shape == (2, 6, 6)
    jacobian = torch_transport.transport_jacobian(torch.tensor(x), torch.tensor(data), schedule, 0.3, 0.8)
    assert jacobian.shape == (2, 6, 6)
    assert jacobian.dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.zeros((2, 2), int)}, "floating point"),
        ({"data": np.zeros((3, 5))}, "data must"),
        ({"weights": np.array([-1.0, 1.0, 1.0])}, "weights must"),
        ({"t_start": 0.0}, "Stop a little short"),
    ],
)
def test_bad_arguments_are_named(change, message):
    arguments = {"x": np.zeros((2, 2)), "data": TRIANGLE, "schedule": RectifiedFlow(), "t_start": 0.2, "t_end": 0.5}
    with pytest.raises(ValueError, match=message):
        numpy_transport.transport_map(**{**arguments, **change})
    tensors = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in {**arguments, **change}.items()}
    with pytest.raises(ValueError, match=message):
        torch_transport.transport_map(**tensors)


def test_a_mixture_has_the_limits_that_are_known_and_the_derivative_of_its_map():
    """The shipped check holds it against the oracle; that takes seconds for each point of a mixture."""
    schedule, rng = SCHEDULES["vp"], np.random.default_rng(3)
    ends, moved = times(schedule), 1e-5 * np.eye(2)
    levels = [(float(schedule.alpha(t)), float(schedule.sigma(t))) for t in ends]
    factors = rng.standard_normal((3, 2, 2)) * [[[1.0]], [[0.3]], [[0.0]]]  # the last one a Dirac
    means, covariances, weights = rng.standard_normal((3, 2)), factors @ factors.swapaxes(1, 2), np.array([5, 2, 3])
    x = rng.standard_normal((1, 2))
    follow, jacobian = numpy_mixture_transport.transport_map, numpy_mixture_transport.transport_jacobian

    values, axes = np.linalg.eigh(covariances[0])
    before, after = (alpha**2 * values + sigma**2 for alpha, sigma in levels)
    one = (means[:1], covariances[:1], schedule, *ends)
    bures = (axes * np.sqrt(after / before)) @ axes.T
    np.testing.assert_allclose(jacobian(x, *one)[0], bures, atol=1e-9)
    right = levels[1][0] * means[0] + bures @ (x[0] - levels[0][0] * means[0])
    np.testing.assert_allclose(follow(x, *one)[0], right, atol=1e-9)

    diracs = follow(x, means, 0 * covariances, schedule, *ends, weights)
    np.testing.assert_allclose(diracs, numpy_transport.transport_map(x, means, schedule, *ends, weights), atol=1e-9)

    law = (means, covariances, schedule, *ends, weights)
    forth, back = follow(x + moved, *law), follow(x - moved, *law)
    np.testing.assert_allclose(jacobian(x, *law)[0], (forth - back).T / 2e-5, atol=1e-6)


def test_a_mixture_of_images_and_what_it_refuses():
    means, ends = np.zeros((2, 1, 2)), times(SCHEDULES["vp"])
    x = np.ones((3, 1, 2), dtype=np.float32)
    answer = numpy_mixture_transport.transport_map(x, means, np.zeros((2, 2, 2)), SCHEDULES["vp"], *ends)
    assert (answer.shape, answer.dtype) == (x.shape, x.dtype)
    for wrong, word in (({"weights": np.ones(3)}, "weights"), ({"covariances": np.zeros((2, 2))}, "covariances")):
        arguments = {"means": means, "covariances": np.zeros((2, 2, 2)), "weights": np.ones(2), **wrong}
        with pytest.raises(ValueError, match=word):
            numpy_mixture_transport.transport_map(
                x, schedule=SCHEDULES["vp"], t_start=ends[0], t_end=ends[1], **arguments
            )
