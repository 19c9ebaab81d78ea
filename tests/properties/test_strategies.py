"""The drawn problems: what was demanded, in the promised range, the same for a seed, and able to tell."""

import functools

import hypothesis
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afi_properties.catalogue import CLAIMS
from afi_properties.choices import choices_from_id
from afi_properties.geometry import GEOMETRIES, OFFSETS, RADII, WEIGHTS, balance_directions, place_atoms
from afi_properties.judgement import find_truth, margins_of
from afi_properties.known_jacobian import skew_eps_for
from afi_properties.noise_levels import (
    SCHEDULES,
    SCHEDULES_BY_NAME,
    VARIANCE_PRESERVING,
    telling_range,
    time_near_log_snr,
)
from afi_properties.precision import PRECISIONS
from afi_properties.strategies import SIZES, Demand, problems, stratified_problems
from afi_reference import DiracMixture

FAMILIES = ("dirac", "gaussian-mixture")
DIMENSIONS = (1, 2, 16, 256, 4096)
DIRAC_CLAIMS = [claim for claim in CLAIMS if claim.family == "dirac"]
# Without Hypothesis' explain phase, which takes a minute and explains nothing here.
SHRINK = (hypothesis.Phase.generate, hypothesis.Phase.shrink)
QUIET = {"database": None, "deadline": None, "suppress_health_check": list(HealthCheck)}

demands = st.builds(
    Demand,
    family=st.sampled_from(FAMILIES),
    weights=st.booleans(),
    variance_preserving=st.booleans(),
    per_sample_noise=st.booleans(),
    dimension=st.sampled_from((None, 1, 3, 16)),
    largest_dimension=st.sampled_from((1, 16, 64)),
    eps_kinds=st.sampled_from((("exact",), ("exact", "skew"), ("skew",))),
)
demanded = demands.flatmap(lambda demand: st.tuples(st.just(demand), problems(demand)))


def drawn(demand):
    return [*stratified_problems(demand, 2, seed=0), *some_draws(demand)]


def some_draws(demand, count=30, seed=0):
    found = []

    @hypothesis.seed(seed)
    @settings(max_examples=count, phases=(hypothesis.Phase.generate,), **QUIET)
    @given(problems(demand))
    def collect(problem):
        found.append(problem)

    collect()
    return found


@settings(max_examples=40, derandomize=True, **QUIET)
@given(demanded)
def test_arrays_have_the_shapes_of_the_contract(pair):
    demand, problem = pair
    b, n, d = problem.batch, problem.atoms, problem.dimension
    shapes = {"x": (b, d), "v": (b, d), "x0": (b, d), "t": (b,), "alpha": (b,), "sigma": (b,), "weights": (n,)}
    shapes |= {"data": (n, d)} if demand.family == "dirac" else {"means": (n, d), "covariances": (n, d, d)}
    assert {name: value.shape for name, value in problem.values.items()} == shapes
    assert all(value.dtype == np.float64 and np.isfinite(value).all() for value in problem.values.values())


@settings(max_examples=40, derandomize=True, **QUIET)
@given(demanded)
def test_the_demanded_dimension_is_kept(pair):
    demand, problem = pair
    if demand.dimension is None:
        assert problem.dimension <= demand.largest_dimension
    else:
        assert problem.dimension == demand.dimension


@settings(max_examples=40, derandomize=True, **QUIET)
@given(demanded)
def test_weights_are_a_distribution_and_uniform_where_demanded(pair):
    demand, problem = pair
    weights = problem.values["weights"]
    assert abs(weights.sum() - 1) < 1e-14
    assert (weights > 0).all()
    if not demand.weights:
        assert (weights == weights[0]).all()


@settings(max_examples=40, derandomize=True, **QUIET)
@given(demanded)
def test_log_snr_stays_between_minus_20_and_20(pair):
    _, problem = pair
    assert (np.abs(problem.log_snr) <= 20 + 1e-9).all()


@settings(max_examples=40, derandomize=True, **QUIET)
@given(demanded)
def test_noise_levels_are_those_of_the_schedule_at_the_time(pair):
    demand, problem = pair
    times = problem.values["t"]
    for name in ("alpha", "sigma"):
        np.testing.assert_array_equal(problem.values[name], getattr(problem.schedule, name)(times))
    if demand.variance_preserving:
        # Both within one unit in the last place, their squares and the sum rounded: six unit roundoffs.
        np.testing.assert_allclose(problem.values["alpha"] ** 2 + problem.values["sigma"] ** 2, 1, rtol=7e-16)


@settings(max_examples=40, derandomize=True, **QUIET)
@given(demanded)
def test_times_have_eight_significant_bits(pair):
    _, problem = pair
    mantissas, _ = np.frexp(problem.values["t"])
    np.testing.assert_array_equal(mantissas * 256, np.round(mantissas * 256))


@settings(max_examples=40, derandomize=True, **QUIET)
@given(demanded)
def test_noise_is_shared_unless_each_point_may_have_its_own(pair):
    demand, problem = pair
    assert problem.shares_noise or demand.per_sample_noise


@settings(max_examples=40, derandomize=True, **QUIET)
@given(demanded)
def test_only_demanded_functions_play_epsilon(pair):
    demand, problem = pair
    assert problem.eps_kind in demand.eps_kinds


@pytest.mark.parametrize("family", FAMILIES)
def test_noise_levels_do_differ_within_a_batch_where_they_may(family):
    batches = [p for p in drawn(Demand(family=family, per_sample_noise=True, largest_dimension=16)) if p.batch > 1]
    assert sum(not problem.shares_noise for problem in batches) > len(batches) / 4


@pytest.mark.parametrize("family", FAMILIES)
def test_covariances_and_atoms_are_usable_by_the_oracles(family):
    for problem in drawn(Demand(family=family, largest_dimension=16)):
        for covariance in problem.values.get("covariances", ()):
            np.testing.assert_array_equal(covariance, covariance.T)
            assert np.linalg.eigvalsh(covariance)[0] >= 0


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_seed_gives_the_same_problems(family):
    demand = Demand(family=family, largest_dimension=16)
    for one, other in zip(drawn(demand), drawn(demand), strict=True):
        assert one.id == other.id
        for name, value in one.values.items():
            np.testing.assert_array_equal(value, other.values[name])


def test_another_seed_gives_other_problems():
    demand = Demand(largest_dimension=16)
    first, second = (list(stratified_problems(demand, 1, seed)) for seed in (0, 1))
    assert not {problem.id for problem in first} & {problem.id for problem in second}


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_ids_mean_equal_problems(family):
    demand = Demand(family=family, largest_dimension=16, eps_kinds=("exact", "skew"), per_sample_noise=True)
    known = {}
    for problem in drawn(demand):
        known.setdefault(problem.id, problem)
        assert problem.eps_kind == known[problem.id].eps_kind
        np.testing.assert_array_equal(problem.values["x"], known[problem.id].values["x"])


@pytest.mark.parametrize(
    "fault",
    [
        lambda p: p.dimension > 1,
        lambda p: p.atoms > 1,
        lambda p: p.batch > 1,
        lambda p: p.batch == p.atoms,
        lambda p: abs(p.log_snr[0]) > 10,
        lambda p: p.strided,
        lambda p: np.ptp(p.values["weights"]) > 0,
        lambda p: np.abs(p.values["data"]).max() > 50,
    ],
    ids=["d>1", "N>1", "B>1", "B=N", "log-SNR", "strided", "weights", "offset"],
)
def test_shrinking_ends_with_three_atoms_and_three_dimensions_at_most(fault):
    simplest = hypothesis.find(problems(), fault, settings=settings(max_examples=400, phases=SHRINK, **QUIET))
    assert simplest.atoms <= 3
    assert simplest.dimension <= 3


@pytest.mark.parametrize("family", FAMILIES)
def test_shrinking_without_a_cause_ends_at_the_simplest_problem(family):
    simplest = hypothesis.find(
        problems(Demand(family=family)), lambda p: True, settings=settings(phases=SHRINK, **QUIET)
    )
    assert (simplest.batch, simplest.atoms, simplest.dimension) == SIZES[0]
    assert simplest.schedule == SCHEDULES[0]
    assert abs(simplest.log_snr[0]) < 0.1


@pytest.mark.parametrize("rounds", [1, 4])
def test_stratified_problems_cover_every_radius_geometry_offset_weighting_schedule_and_size(rounds):
    found = list(stratified_problems(Demand(), rounds, seed=5))
    choices = [choices_from_id(p.id) for p in found]
    assert len(found) == rounds * len(SIZES)
    for wanted, seen in (
        (GEOMETRIES, {c.shape for c in choices}),
        (RADII, {c.radius for c in choices}),
        (OFFSETS, {c.offset for c in choices}),
        (WEIGHTS, {c.weights for c in choices}),
        ([s.name for s in SCHEDULES], {p.schedule.name for p in found}),
        ((False, True), {p.strided for p in found}),
        (SIZES, {(p.batch, p.atoms, p.dimension) for p in found}),
    ):
        assert set(wanted) == seen


def test_stratified_problems_cover_the_range_of_noise():
    levels = sorted(float(p.log_snr[0]) for p in stratified_problems(Demand(), 4, seed=5))
    # Schedules that end early leave their ends to the others.
    assert levels[0] < -17
    assert levels[-1] > 17
    assert max(np.diff(levels)) < 4


def test_demand_without_room_for_a_size_falls_back_on_the_smaller_ones():
    assert {d for _, _, d in Demand(largest_dimension=2).sizes()} == {1, 2}
    assert {d for _, _, d in Demand(dimension=48).sizes()} == {48}


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.name)
def test_time_near_log_snr_is_near(schedule):
    for log_snr in (-4.0, 0.0, 4.0):
        time = time_near_log_snr(schedule, log_snr)
        assert abs(float(schedule.log_snr(time)) - log_snr) < 0.5


def test_variance_preserving_schedules_are_those_with_squares_summing_to_one():
    for schedule in SCHEDULES:
        time = time_near_log_snr(schedule, 1.0)
        total = schedule.alpha(time) ** 2 + schedule.sigma(time) ** 2
        assert (abs(total - 1) < 1e-14) == (schedule in VARIANCE_PRESERVING)


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize("geometry", [g for g in GEOMETRIES if g != "noised"])
def test_placed_atoms_share_the_posterior_of_the_origin(geometry, radius, dimension):
    shares = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        weights = rng.dirichlet(np.ones(4)) + 1e-4
        atoms, _ = place_atoms(rng, geometry, weights, dimension, RADII[radius](dimension))
        logits = np.log(weights) - (atoms**2).sum(axis=1) / 2
        posterior = np.exp(logits - logits.max())
        shares.append(posterior.max() / posterior.sum())
    assert np.median(shares) < 0.95


@functools.cache
def share_of_telling_points(claim_index, dimension):
    """Share of points whose margin is above 1 against every wrong formula, in float64."""
    claim = DIRAC_CLAIMS[claim_index]
    demand = Demand(dimension=dimension, eps_kinds=claim.eps_kinds)
    margins = []
    for problem in stratified_problems(demand, 1 if dimension > 16 else 2, seed=1):
        skew = None
        if problem.eps_kind == "skew":
            skew = skew_eps_for(problem.values["x"], problem.values["sigma"], problem.seed)
        truth = find_truth(claim, problem.values, problem, skew, PRECISIONS["float64"])
        margins.extend(np.min(list(margins_of(claim, problem.values, skew, truth).values()), axis=0))
    return np.mean(np.array(margins) > 1)


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.parametrize("index", range(len(DIRAC_CLAIMS)), ids=[c.role for c in DIRAC_CLAIMS])
def test_half_of_the_points_or_more_tell_the_truth_from_every_wrong_formula(index, dimension):
    if dimension > DIRAC_CLAIMS[index].largest_dimension:
        dimension = DIRAC_CLAIMS[index].largest_dimension
    assert share_of_telling_points(index, dimension) >= 0.5


@pytest.mark.parametrize("geometry", ["shared", "collinear", "clustered", "duplicated"])
def test_in_balanced_directions_the_covariance_weighs_no_more_than_the_identity(geometry):
    rng = np.random.default_rng(0)
    weights, dimension = np.array([0.5, 0.3, 0.2]), 1024
    atoms, deviation = place_atoms(rng, geometry, weights, dimension, 2 * dimension**0.5)
    deviations, v = deviation * rng.standard_normal((2, dimension)), rng.standard_normal((2, dimension))
    centre = rng.standard_normal(dimension)
    law = DiracMixture(atoms, weights)

    def shares(v):
        covariance = law.posterior_covariance(deviations, 1.0, 1.0)
        return np.linalg.norm(np.einsum("bij,bj->bi", covariance, v), axis=1) / np.linalg.norm(v, axis=1)

    balanced = balance_directions(v, atoms, deviations, weights, centre)
    assert (shares(balanced) < 1.01).all()
    assert (shares(v) > 5 * shares(balanced)).any()
    assert (np.linalg.norm(balanced, axis=1) > 0.9 * np.linalg.norm(v, axis=1)).all()
    assert (abs(balanced @ centre) * np.linalg.norm(centre) < 2 * np.linalg.norm(balanced, axis=1)).all()


def test_directions_in_the_whole_space_that_the_atoms_span_stay():
    rng = np.random.default_rng(0)
    atoms, v = rng.standard_normal((5, 2)), rng.standard_normal((3, 2))
    assert (balance_directions(v, atoms, np.zeros((3, 2)), np.full(5, 0.2), np.ones(2)) == v).all()


def test_noise_levels_are_those_at_which_float32_can_tell():
    def ends(name, *case):
        return telling_range(SCHEDULES_BY_NAME[name], *case)

    low, high = ends("vp-linear", 2, 1.0, 0.0)  # as far as alpha and sigma are visibly not 1
    assert -5 < low < -3
    assert 3 < high < 5
    assert ends("vp-linear", 4096, 128.0, 0.0)[1] < 2 < high  # distances of 8,000 that are rounded
    assert ends("vp-linear", 2, 1.0, 100.0)[1] < high  # data far from the origin
    assert ends("ve", 2, 1.0, 0.0)[1] > 7  # alpha is 1 there, whatever the noise
    assert ends("vp-linear", 4096, 1000.0, 0.0) == (0.0, 0.0)
