"""The judgement: what is right passes, each wrong formula does not, in every precision and for every claim."""

import dataclasses
import functools
from fractions import Fraction

import numpy as np
import pytest

from afi_properties.catalogue import CLAIMS
from afi_properties.inputs import make_inputs
from afi_properties.judgement import LIMIT, Truth, errors_of, find_truth, margins_of
from afi_properties.known_jacobian import skew_eps_for
from afi_properties.precision import PRECISIONS, wider_dtype
from afi_properties.strategies import Demand, problem_from_id, stratified_problems

CLAIM_IDS = [f"{claim.role}-{claim.family}" for claim in CLAIMS]
DTYPES = ("float64", "float32", "float16", "bfloat16")


def to_precision(values, dtype):
    """Round to nearest in ``dtype``; bfloat16, which NumPy has not, by torch."""
    if dtype != "bfloat16":
        with np.errstate(over="ignore"):
            return np.asarray(values).astype(dtype).astype(np.float64)
    torch = pytest.importorskip("torch", reason="NumPy has no bfloat16: its rounding is torch's")
    return torch.tensor(np.asarray(values, np.float64)).to(torch.bfloat16).to(torch.float64).numpy()


@functools.cache
def judged_cases(claim_index, dtype):
    """Some cases of a claim as they would be handed over: (inputs, truth, margins)."""
    claim = CLAIMS[claim_index]
    demand = Demand(family=claim.family, largest_dimension=min(64, claim.largest_dimension), eps_kinds=claim.eps_kinds)
    cases = []
    for problem in stratified_problems(demand, 2, seed=7):
        skew = None
        if problem.eps_kind == "skew":
            skew = skew_eps_for(problem.values["x"], problem.values["sigma"], problem.seed)
        exact = ("alpha", "sigma", "t")
        values = {n: value if n in exact else to_precision(value, dtype) for n, value in problem.values.items()}
        truth = find_truth(claim, values, problem, skew, PRECISIONS[dtype])
        cases.append((values, skew, truth, margins_of(claim, values, skew, truth)))
    return cases


def a_truth(answer, dtype="float32", attainable=None, representable=None):
    answer = np.asarray(answer, np.float64)
    flat = np.linalg.norm(answer.reshape(len(answer), -1), axis=1)
    smallest = PRECISIONS[dtype].unit_roundoff * flat
    return Truth(
        answer,
        smallest if attainable is None else np.asarray(attainable),
        np.ones(len(answer), bool) if representable is None else np.asarray(representable),
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_answer_that_is_not_a_number_never_passes(bad):
    truth = a_truth([[1.0, 2.0], [3.0, 4.0]])
    answer = truth.answer.copy()
    answer[1, 0] = bad
    errors = errors_of(answer, truth)
    assert errors[0] == 0
    assert errors[1] == np.inf


def test_a_true_infinity_does_not_excuse_an_infinite_answer():
    assert errors_of(np.array([np.inf]), a_truth([np.inf], attainable=[np.inf]))[0] == np.inf


def test_tolerance_has_no_absolute_floor():
    claim, cases = CLAIMS[0], judged_cases(0, "float32")
    values, skew, _, _ = next(c for c in cases if c[0]["x"].shape[1] == 3)
    # In units where the score is 1e-6.
    scale = np.abs(claim.truth(make_inputs(values, skew=skew))).max() * 1e6
    small = {n: v * scale if n in ("x", "sigma", "data") else v for n, v in values.items()}
    problem = next(iter(stratified_problems(Demand(largest_dimension=3), 1, seed=7)))
    truth = find_truth(claim, small, problem, None, PRECISIONS["float32"])
    assert np.abs(truth.answer).max() == pytest.approx(1e-6, rel=1e-3)
    assert truth.representable.all()
    assert (errors_of(np.zeros_like(truth.answer), truth) > 1e3).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_zeros_against_a_true_millionth_fail(dtype):
    assert errors_of(np.zeros((1, 3)), a_truth([[1e-6, 1e-6, 0]], dtype))[0] > LIMIT


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_one_wrong_entry_of_a_thousand_by_half_is_caught(dtype):
    # In bfloat16 the limit itself, 16 roundings of 2^-8, is more than such an entry in a norm of 1,000.
    answer = np.random.default_rng(0).choice([-1.0, 1.0], (1, 1000))
    truth = a_truth(answer, dtype)
    wrong = truth.answer.copy()
    wrong[0, 7] *= 1.5
    assert errors_of(wrong, truth)[0] > LIMIT


@pytest.mark.parametrize("claim", CLAIMS, ids=CLAIM_IDS)
def test_one_wrong_entry_by_half_is_caught_in_drawn_cases(claim):
    if claim.answer == "scalar":
        return
    caught = total = 0
    for _, _, truth, _ in judged_cases(CLAIMS.index(claim), "float32"):
        answer = truth.answer.copy()
        flat = answer.reshape(len(answer), -1)
        entry = np.abs(flat).argmax(axis=1)
        flat[np.arange(len(flat)), entry] *= 1.5
        told = errors_of(answer, truth) > LIMIT
        caught, total = caught + told[truth.representable].sum(), total + truth.representable.sum()
    assert caught >= 0.8 * total


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("claim", CLAIMS, ids=CLAIM_IDS)
def test_the_truth_rounded_to_the_precision_is_right(claim, dtype):
    for _, _, truth, _ in judged_cases(CLAIMS.index(claim), dtype):
        errors = errors_of(to_precision(truth.answer, dtype), truth)
        assert (errors[truth.representable] <= 1).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("claim", CLAIMS, ids=CLAIM_IDS)
def test_each_wrong_formula_is_judged_wrong_where_it_can_be_told(claim, dtype):
    told = dict.fromkeys(claim.wrong, 0)
    for values, skew, truth, margins in judged_cases(CLAIMS.index(claim), dtype):
        if not truth.representable.any():
            continue  # the dtype may not even hold the inputs; that such points have no margin is tested below
        wide = {n: np.asarray(v, wider_dtype(PRECISIONS[dtype])) for n, v in values.items()}
        inputs = make_inputs(wide, skew=skew)
        for name, margin in margins.items():
            with np.errstate(all="ignore"):
                answer = to_precision(claim.wrong[name](inputs, truth.answer), dtype)
            # A little room: rounding the wrong answer itself can take half of one of LIMIT's units off it.
            telling = margin > 1.1
            told[name] += telling.sum()
            assert (errors_of(answer, truth)[telling] > LIMIT).all(), name
    if dtype in ("float64", "float32"):
        assert min(told.values()) > 0, told


@pytest.mark.parametrize("dtype", DTYPES)
def test_points_that_are_not_representable_have_no_margin(dtype):
    for claim in CLAIMS:
        for _, _, truth, margins in judged_cases(CLAIMS.index(claim), dtype):
            for margin in margins.values():
                assert not np.isnan(margin).any()
                assert (margin[~truth.representable] == 0).all()


def test_a_truth_outside_the_range_of_float16_is_not_representable():
    problem = problem_from_id("a_dirac_1x2x2_shared_r1_o0_uniform_edm@16_s7")
    claim = next(c for c in CLAIMS if c.role == "fisher_trace" and c.family == "dirac")
    sixteen = find_truth(claim, problem.values, problem, None, PRECISIONS["float16"])
    assert np.abs(sixteen.answer).max() > PRECISIONS["float16"].largest or (problem.values["sigma"] ** -4 > 65504).all()
    assert not sixteen.representable.any()
    assert find_truth(claim, problem.values, problem, None, PRECISIONS["float32"]).representable.all()


def test_the_truth_of_float64_code_is_computed_in_longdouble():
    _, _, truth, _ = judged_cases(0, "float64")[0]
    assert truth.answer.dtype == wider_dtype(PRECISIONS["float64"])


def test_random_roundings_are_the_same_for_the_same_problem():
    claim = CLAIMS[0]
    problem = next(iter(stratified_problems(Demand(largest_dimension=16), 1, seed=7)))
    one, other = (find_truth(claim, problem.values, problem, None, PRECISIONS["float32"]) for _ in range(2))
    np.testing.assert_array_equal(one.attainable, other.attainable)


def test_another_seed_of_roundings_hardly_changes_what_is_attainable():
    claim = CLAIMS[0]
    for problem in stratified_problems(Demand(largest_dimension=64), 1, seed=7):
        other = dataclasses.replace(problem, seed=problem.seed + 1)
        first, second = (find_truth(claim, p.values, p, None, PRECISIONS["float32"]) for p in (problem, other))
        ratio = first.attainable / second.attainable
        assert (ratio < 3).all()
        assert (ratio > 1 / 3).all()


@pytest.mark.parametrize("name", DTYPES)
def test_unit_roundoff_is_the_largest_relative_error_of_a_rounding(name):
    values = np.linspace(1, 2, 1001)
    error = np.abs(to_precision(values, name) - values).max()
    assert error <= PRECISIONS[name].unit_roundoff * 2
    assert float(Fraction(PRECISIONS[name].unit_roundoff)) == 2.0 ** -PRECISIONS[name].significant_bits


def direct(role, values):
    """Straightforward float32 code: direct distances, a softmax, centred moments; nothing else is done well."""
    one = np.float32
    x, v, y = (values[name].astype(one) for name in ("x", "v", "data"))
    weights, alpha, sigma = values["weights"].astype(one), one(values["alpha"][0]), one(values["sigma"][0])
    difference = x[:, None] - alpha * y
    logits = np.log(weights) - (difference**2).sum(-1) / (2 * sigma**2)
    posterior = np.exp(logits - logits.max(axis=1, keepdims=True))
    posterior /= posterior.sum(axis=1, keepdims=True)
    mean = posterior @ y
    centred = y - mean[:, None]
    factor = alpha**2 / sigma**4
    if role == "score":
        return -(x - alpha * mean) / sigma**2
    if role == "posterior_mean":
        return mean
    if role == "fisher":
        identity = np.eye(x.shape[1], dtype=one)
        return identity / sigma**2 - factor * np.einsum("bn,bni,bnj->bij", posterior, centred, centred)
    if role == "fisher_vector_product":
        products = np.einsum("bni,bi->bn", centred, v)
        return v / sigma**2 - factor * np.einsum("bn,bn,bni->bi", posterior, products, centred)
    return one(x.shape[1]) / sigma**2 - factor * (posterior * (centred**2).sum(-1)).sum(-1)


@pytest.mark.parametrize("role", ["score", "posterior_mean", "fisher", "fisher_vector_product", "fisher_trace"])
def test_straightforward_float32_code_is_far_from_the_limit_on_300_problems(role):
    claim = next(c for c in CLAIMS if c.role == role and c.family == "dirac")
    demand = Demand(largest_dimension=16 if role == "fisher" else 256)
    largest, count = 0.0, 0
    for seed in range(30):
        for problem in stratified_problems(demand, 1, seed=seed):
            values = {n: v.astype(np.float32).astype(np.float64) for n, v in problem.values.items()}
            values |= {n: problem.values[n] for n in ("alpha", "sigma", "t")}
            truth = find_truth(claim, values, problem, None, PRECISIONS["float32"])
            errors = errors_of(direct(role, values), truth)
            assert truth.representable.all()
            largest, count = max(largest, errors.max()), count + 1
    assert count >= 300
    # 6 but for one clustered case far from the origin at log-SNR 20, whose error is 8.1 (see judgement.LIMIT)
    assert largest < 10


def posterior_mean_judged(atoms, x, alpha, sigma, answer):
    one, n = np.ones(1), len(atoms)
    values = {"data": atoms, "weights": np.ones(n) / n, "alpha": alpha * one, "sigma": sigma * one}
    claim = next(c for c in CLAIMS if (c.role, c.family) == ("posterior_mean", "dirac"))
    problem = next(iter(stratified_problems(Demand(), 1, seed=0)))  # gives the seed of the roundings alone
    truth = find_truth(claim, {**values, "x": x, "v": x, "x0": x}, problem, None, PRECISIONS["float64"])
    return errors_of(answer, truth)[0]


def weights_by(distances, sigma):
    weights = np.exp(-(distances - distances.min()) / (2 * sigma**2))
    return weights / weights.sum()


@pytest.mark.parametrize("d", [64, 1024, 16384])
def test_squares_that_are_added_in_sequence_are_no_fault(d):
    alpha, sigma = 0.9, 0.9 * np.exp(-2.0)
    atoms = 1 + np.random.default_rng(0).standard_normal((2, d)) / 2
    across = np.random.default_rng(1).standard_normal(d)
    across -= across @ (step := atoms[1] - atoms[0]) / (step @ step) * step
    x = alpha * atoms.mean(axis=0, keepdims=True) + across  # as far from one as from the other
    weights = weights_by(np.cumsum((x - alpha * atoms) ** 2, axis=1)[:, -1], sigma)  # cumsum adds in sequence
    assert weights.min() > 0.01
    error = posterior_mean_judged(atoms, x, alpha, sigma, atoms[:1] + weights[1] * (atoms[1] - atoms[0]))
    assert 0.1 < error < 12


@pytest.mark.parametrize("n", [64, 2048, 20000])
def test_a_mean_that_is_added_in_sequence_is_no_fault(n):
    atoms = 5 + np.random.default_rng(0).standard_normal((n, 8))
    x, alpha, sigma = 0.1 * atoms[:1], 0.1, 1.0
    weights = weights_by(((x - alpha * atoms) ** 2).sum(axis=1), sigma)
    error = posterior_mean_judged(atoms, x, alpha, sigma, np.cumsum(weights[:, None] * atoms, axis=0)[-1:])
    assert 0.1 < error < 12
