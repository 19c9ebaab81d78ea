"""Case ids: the same numbers again, and clear words for what is no id of this version."""

import re

import numpy as np
import pytest

from afi_properties.choices import VERSION, choices_from_id
from afi_properties.real_data import load_digits_atoms, noised_problems, with_nearest_atoms
from afi_properties.strategies import Demand, problem_from_id, stratified_problems

AN_ID = "a_dirac_1x2x2_shared_r1_o0_uniform_rectified-flow@2_s5"


def assert_same(one, other):
    assert one.id == other.id
    assert (one.seed, one.strided, one.eps_kind) == (other.seed, other.strided, other.eps_kind)
    assert repr(one) == repr(other)
    assert one.values.keys() == other.values.keys()
    for name, value in one.values.items():
        np.testing.assert_array_equal(value, other.values[name])


@pytest.mark.parametrize("family", ["dirac", "gaussian-mixture"])
def test_every_drawn_problem_comes_back_from_its_id(family):
    demand = Demand(family=family, largest_dimension=64, per_sample_noise=True, eps_kinds=("exact", "skew"))
    for problem in stratified_problems(demand, 4, seed=11):
        assert_same(problem, problem_from_id(problem.id))


def test_ids_are_short_and_safe_in_a_shell_and_in_file_names():
    for problem in stratified_problems(Demand(per_sample_noise=True, eps_kinds=("skew",)), 2, seed=3):
        assert re.fullmatch(r"[\w.@-]+", problem.id)
        assert len(problem.id) < 110


def test_another_choice_is_another_id():
    problems = list(stratified_problems(Demand(largest_dimension=16), 4, seed=11))
    assert len({problem.id for problem in problems}) == len(problems)


def test_what_an_id_means_does_not_change_within_a_version():
    # When this fails on purpose, the next letter is due: afi_properties.choices.VERSION.
    assert VERSION == "a"
    dirac = problem_from_id(AN_ID)
    np.testing.assert_allclose(
        dirac.values["data"].ravel(), [-0.18449197861, 0.322860962567, 0.645721925134, 0.0461229946524], rtol=1e-11
    )
    mixture = problem_from_id("a_gaussian-mixture_1x2x1_mixed_r1_o1_tiny_edm@-3.5_s9_fine")
    np.testing.assert_allclose(mixture.values["means"].ravel(), [-22.6062731914, -23.9222696231], rtol=1e-11)


def test_a_case_on_the_digits_comes_back_with_any_number_of_its_atoms():
    for problem in list(noised_problems("digits", load_digits_atoms(), None, seed=2))[::7]:
        assert_same(problem, problem_from_id(problem.id))
        assert_same(with_nearest_atoms(problem, 4), problem_from_id(f"{problem.id}_near4"))


def test_a_case_on_data_of_ones_own_needs_the_same_data():
    atoms = np.random.default_rng(0).standard_normal((7, 3))
    weights = np.full(7, 1 / 7) + np.linspace(-0.01, 0.01, 7)
    weighted, uniform = (list(noised_problems("own-data", atoms, w, seed=0))[3] for w in (weights, None))
    assert_same(weighted, problem_from_id(weighted.id, atoms, weights))
    assert_same(uniform, problem_from_id(uniform.id, atoms, weights))
    with pytest.raises(ValueError, match="give them again"):
        problem_from_id(weighted.id)
    with pytest.raises(ValueError, match="other data"):
        problem_from_id(weighted.id, atoms + 1, weights)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no case id"),
        ("fisher_trace", "no case id"),
        (AN_ID.replace("a_", "b_", 1), "this one writes a_"),
        ("a_dirac_1x2x2", "cut off"),
        (AN_ID.replace("1x2x2", "1x2"), "three sizes"),
        (AN_ID.replace("1x2x2", "1x2x99999999"), "larger than any"),
        (AN_ID.replace("shared", "square"), "it may be: shared, collinear"),
        (AN_ID.replace("r1", "r7"), "the radius 'r7' is not known"),
        (AN_ID.replace("@2", "@200"), "log-SNR from -20 to 20"),
        (AN_ID.replace("@2", "@nan"), "log-SNR from -20 to 20"),
        (AN_ID.replace("s5", "seed"), "not a seed like s17"),
        (AN_ID + "_loud", "the flag 'loud' is not known"),
        ("a_uniform_1x2x2_shared_r1_o0_uniform_ve@2_s5", "real data has 5 or 6 parts"),
        ("a_digits_00000000_s0_level3", "other data"),
        ("a_digits_00000000_s0_level99", "only 21 noise levels"),
    ],
)
def test_what_is_no_id_is_refused_with_the_reason(text, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        problem_from_id(text)


def test_choices_and_their_id_are_the_same_thing():
    assert choices_from_id(AN_ID).id == AN_ID


def test_far_points_and_shared_ones_are_among_those_on_real_data():
    problems = list(noised_problems("digits", load_digits_atoms(), None, seed=0))
    least, shared = [], []
    for problem in problems:
        values = problem.values
        distances = ((values["x"] - values["alpha"][:, None] * values["data"]) ** 2).sum(1) / (2 * values["sigma"] ** 2)
        posterior = np.exp(distances.min() - distances)
        least.append(distances.min())
        shared.append(posterior.max() / posterior.sum() < 0.99)
    assert sum(exponent > 745 for exponent in least) >= 2  # exp(-745) is 0 in float64
    assert all(shared[level] for level in range(len(problems)) if level % 2 and problems[level].log_snr[0] > 0)
