"""The flow where it is stiff: starts between atoms, where it contracts by e^(10^6) and more on its way to noise."""

import mpmath as mp
import numpy as np
import pytest

from afi_reference.dirac import DiracMixture
from afi_reference.families import UniformBox, UniformSegment, UniformSphere
from afi_reference.flow import FlowOracle
from afi_reference.gaussian import GaussianMixture
from afi_reference.schedules import EDM, LogSNRLinear, RectifiedFlow, VEGeometric, VPCosine, VPLinear

WIDE = LogSNRLinear()
LONG = np.longdouble
TRIANGLE = DiracMixture(np.array([[0.0, 0.0], [1.0, 0.2], [0.3, 1.1]]), np.array([0.5, 0.3, 0.2]))
PAIR = DiracMixture(np.array([[-1.0], [1.0]]), np.array([0.25, 0.75]))
GRID = DiracMixture(np.array([[-1.0, 0.0], [-1.0, 0.5], [1.0, 0.0], [1.0, 0.5]]))


def true_log_density(law, x, schedule, t):
    return law.log_density(x.astype(LONG), LONG(schedule.alpha(t)), LONG(schedule.sigma(t)))


def closes(law, schedule, clean, log_snr, noise=0.0, reach=15.0):
    """Check the change of variables from ``log_snr`` to the other end of ``[-reach, reach]`` or of the schedule."""
    ends = schedule.log_snr(np.array([schedule.t_min, schedule.t_max]) + np.array([1e-9, -1e-9]))
    start, end = (float(np.clip(s, ends.min(), ends.max())) for s in (log_snr, -reach if log_snr > 0 else reach))
    t_start, t_end = (float(schedule.time_of_log_snr(s)) for s in (start, end))
    x = schedule.alpha(t_start) * np.array([clean]) + noise * schedule.sigma(t_start)
    answer = FlowOracle(law, schedule).log_likelihood(x, t_start, t_end)
    truth = true_log_density(law, x, schedule, t_start)
    wrong, size = np.abs(answer.value - truth)[0], max(1.0, abs(float(truth[0])))
    assert wrong <= min(1e-9 * size, answer.error[0])
    assert answer.error[0] <= 1e-7 * size
    return float(truth[0])


SCHEDULES = [VPLinear(), VPCosine(), VEGeometric(), EDM(), RectifiedFlow()]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.name)
def test_change_of_variables_closes_between_atoms_under_every_schedule(schedule):
    assert closes(TRIANGLE, schedule, [0.4, 0.1], 8.0) < -50


@pytest.mark.parametrize("log_snr", [16.0])
def test_change_of_variables_closes_where_next_to_no_probability_is(log_snr):
    assert closes(PAIR, WIDE, [0.3], log_snr) < -1e5


LAWS = {
    "box": (UniformBox([-1.0, 0.0], [1.0, 0.5]), [0.3, 0.2], [0.9, 0.6]),
    "segment": (UniformSegment([-1.0, 0.0], [1.0, 0.5]), [0.4, 0.35], [0.1, 0.9]),
    "sphere": (UniformSphere([0.0, 1.0, 0.0], 1.0), [0.6, 1.8, 0.0], [0.05, 1.02, 0.03]),
    "gaussian mixture": (
        GaussianMixture(np.array([[0.0, 0.0], [1.0, 0.3]]), np.array([[1e-3, 2e-3], [2e-3, 5e-4]])),
        [0.02, -0.03],
        [0.5, 0.2],
    ),
}


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("name", LAWS)
def test_change_of_variables_closes_for_general_data(name, direction):
    law, inside, outside = LAWS[name]
    reach = 2.0 if name == "sphere" else 15.0  # beyond, an evaluation of the sphere takes ten milliseconds
    closes(law, WIDE, inside, direction * reach, noise=0.7, reach=reach)
    if name in ("box", "segment"):
        closes(law, WIDE, outside, direction * reach)


def mass(point, alpha, sigma):
    atoms = zip(PAIR.weights.tolist(), PAIR.atoms[:, 0].tolist(), strict=True)
    return sum(mp.mpf(w) * mp.ncdf((point - alpha * y) / sigma) for w, y in atoms)


def quantile(q, alpha, sigma):
    with mp.workdps(40):
        low, high, a, s = mp.mpf(-60), mp.mpf(60), mp.mpf(float(alpha)), mp.mpf(float(sigma))
        for _ in range(120):
            middle = (low + high) / 2
            low, high = (middle, high) if mass(middle, a, s) < q else (low, middle)
        return float(low)


@pytest.mark.parametrize("log_snr", [16.0])
def test_map_between_two_atoms_is_the_monotone_rearrangement(log_snr):
    """All points between two atoms have the mass of one of them on their left, to e^(-10^6): one point at the end."""
    start, end = float(WIDE.time_of_log_snr(log_snr)), 1.0
    x = WIDE.alpha(start) * np.array([[-0.2]])
    answer = FlowOracle(PAIR, WIDE).transport(x, start, end)
    truth = quantile(mp.mpf("0.25"), WIDE.alpha(end), WIDE.sigma(end))
    for value, error in zip(answer.value[:, 0], answer.error, strict=True):
        assert abs(value - truth) <= error <= 1e-9


def test_jacobian_and_adjoint_across_a_layer():
    """On a grid the coordinates do not know of each other: one dies in the layer, one is noised from an atom."""
    start, end = float(WIDE.time_of_log_snr(10.0)), float(WIDE.time_of_log_snr(-4.0))
    x = np.array([[0.1 * WIDE.alpha(start), 1.5 * WIDE.sigma(start)]])
    oracle = FlowOracle(GRID, WIDE)
    jacobian, gradient = oracle.transport_jacobian(x, start, end), np.array([[3.0, -2.0]])
    adjoint = oracle.adjoint(x, gradient, start, end)
    arrived = oracle.transport(x, start, end).value
    line = DiracMixture(np.array([[0.0], [0.5]]))
    before, after = (true_log_density(line, p[:, 1:], WIDE, t)[0] for p, t in ((x, start), (arrived, end)))
    stretch = float(np.exp(before - after))  # the map of one coordinate preserves probability
    np.testing.assert_allclose(jacobian.value[0], [[0, 0], [0, stretch]], atol=jacobian.error[0])
    np.testing.assert_allclose(adjoint.value[0], [0, -2 * stretch], atol=adjoint.error[0])
    assert jacobian.error[0] < 1e-8 * stretch
    assert adjoint.error[0] < 1e-8 * 4 * stretch


def test_a_point_by_the_boundary_between_two_basins_is_known_to_be_uncertain():
    """Towards data the two sides of the boundary part by e^(D^2 / 8 r^2): a rounding decides, and the error says so."""
    start, end = (float(WIDE.time_of_log_snr(s)) for s in (-2.0, 6.0))
    boundary = quantile(mp.mpf("0.25"), WIDE.alpha(start), WIDE.sigma(start))
    oracle, distance = FlowOracle(PAIR, WIDE), 2 * WIDE.alpha(end)
    assert oracle.transport(np.array([[boundary]]), start, end).error[0] > distance
    for side in (-1, 1):
        far = oracle.transport(np.array([[boundary + side * 0.1]]), start, end)
        assert abs(far.value[0, 0] - side * WIDE.alpha(end)) < 0.2
        assert far.error[0] < 1e-6
