"""The zoo itself: its animals are unique, say what they are, and are wrong in nothing but their sin.

That they are wrong is in test_kill_matrix.py: every one is caught.
"""

import functools
import warnings
from pathlib import Path

import pytest

import tests.zoo
from afi_properties.catalogue import CLAIMS
from afi_properties.problem import Problem
from afi_properties.strategies import Demand, stratified_problems
from afi_verify.backends import load_backend
from afi_verify.errors import BrokenAnswerError
from afi_verify.handing import Subject, call, round_problem
from tests.zoo.specimen import MUTANTS, Fault, Specimen

pytest.importorskip("torch")

ROLES = {claim.role for claim in CLAIMS}
EVERY = pytest.mark.parametrize("specimen", [m for m in MUTANTS if m.role in ROLES], ids=lambda m: m.name)
"""Of the roles whose answer is a formula of the point: others are judged by more than one answer."""

SINS = {
    "wrong power of alpha": "fisher_trace/alpha_not_squared",
    "wrong power of sigma": "fisher_trace/sigma_cubed",
    "term dropped": "fisher_vector_product/covariance_dropped",
    "term doubled": "fisher_trace/variance_of_pairs",
    "sign": "score/sign",
    "transposed": "fisher_vector_product/cholesky_transposed",
    "epsilon, x_0 and v mixed up": "posterior_mean/epsilon_as_velocity",
    "alpha^2 for alpha": "score/alpha_bar_for_alpha",
    "a timestep off by one": "score/next_timestep",
    "uniform weights": "score/uniform_posterior",
    "weights ignored": "posterior_mean/prior_ignored",
    "weights unnormalised": "fisher_trace/not_divided_by_sum",
    "no maximum subtracted": "posterior_mean/maximum_not_subtracted",
    "softmax over the wrong axis": "score/softmax_over_batch",
    "few nearest atoms": "score/two_nearest_atoms",
    "many nearest atoms": "score/hundred_nearest_atoms",
    "last partial mini-batch": "posterior_mean/mean_of_minibatch_means",
    "last partial mini-batch of 512": "posterior_mean/mean_of_means_of_512",
    "log-determinant omitted": "score/log_determinant_omitted",
    "row sum for the diagonal": "fisher_trace_autodiff/row_sum_for_diagonal",
    "probes in {0, sqrt 2}": "fisher_trace_autodiff/probes_with_a_mean",
    "per-batch sigma": "score/mean_sigma_of_batch",
    "wrong for B = N": "score/axis_found_by_length",
    "wrong for B = 1": "fisher_trace/answer_squeezed",
    "wrong for an even batch": "fisher_trace/halves_swapped",
    "wrong for N = 1": "fisher/zero_for_one_atom",
    "argument changed": "score/atoms_scaled_in_place",
    "state between calls": "posterior_mean/weights_kept",
    "float32 inside float64": "fisher_trace/single_inside",
    "epsilon in a denominator": "score/divisor_plus_epsilon",
    "clipped exponents": "fisher_trace/exponents_clipped",
    "order of atoms": "score/sums_not_rescaled",
    "right up to d = 2": "fisher_trace/two_coordinates",
    "right for centred data": "posterior_mean/only_atoms_centred",
    "right in the middle of the noise range": "score/shortcut_at_low_snr",
    "contiguous arrays assumed": "score/pointer_to_strided",
    "duplicated atoms": "posterior_mean/duplicates_removed",
    "jitter on a covariance": "fisher/regularised_covariance",
    "ddof=1": "fisher_trace/sample_variance",
    "mean over atoms for the sum": "fisher_vector_product/mean_over_atoms",
    "detached": "fisher_vector_product_vjp/mean_detached",
    "1/sigma forgotten": "fisher_vector_product_vjp/vjp_without_sigma",
    "JVP for VJP": "fisher_vector_product_vjp/jvp_for_vjp",
    "VJP for JVP": "fisher_vector_product_jvp/vjp_for_jvp",
    "complex step": "fisher_vector_product_jvp/large_complex_step",
    "fixed finite-difference step": "fisher_vector_product_jvp/forward_difference",
    "one probe": "fisher_trace_autodiff/one_probe",
    "FFT": "fisher_vector_product/circulant",
    "low rank": "fisher/rank_32",
    "sigma clipped": "score/smallest_sigma",
    "log-SNR for half of it": "fisher/half_log_snr",
    "VP assumed": "fisher_trace/variance_preservation_assumed",
}
"""What must be in the zoo, and a mutant that has it."""


def subject_of(specimen: Specimen, dtype: str) -> Subject:
    adapter = specimen.adapter(dtype)
    (provided,) = adapter.functions.values()
    return Subject(adapter, load_backend(specimen.backend, dtype, "cpu"), provided)


def demand_of(specimen: Specimen) -> Demand:
    subject = subject_of(specimen, "float64")
    claim = subject.provided.claim
    return Demand(
        family=claim.family,
        weights=subject.asks_for("weights"),
        variance_preserving=subject.asks_for("alpha_bar"),
        per_sample_noise=subject.adapter.per_sample_noise,
        dimension=64 if subject.adapter.event_shape else None,
        largest_dimension=min(claim.largest_dimension, 256),
        eps_kinds=claim.eps_kinds,
    )


@functools.cache
def drawn_problems(demand: Demand) -> tuple[Problem, ...]:
    return tuple(stratified_problems(demand, rounds=12, seed=0))


def ordinary_problem(specimen: Specimen) -> Problem:
    """Several points, several atoms, several dimensions, at a middling noise level, contiguous."""
    ordinary = [
        p for p in drawn_problems(demand_of(specimen)) if min(p.batch, p.atoms, p.dimension) > 1 and not p.strided
    ]
    return min(ordinary, key=lambda problem: abs(problem.log_snr[0]))


def test_names_are_unique():
    names = [specimen.name for specimen in MUTANTS]
    assert len(set(names)) == len(names)


def test_every_module_is_collected():
    collected = {specimen.function.__module__ for specimen in MUTANTS}
    installed = {specimen.backend for specimen in MUTANTS}
    for path in (Path(*tests.zoo.__path__) / "mutants").glob("*.py"):
        library = path.stem.partition("_")[0]
        assert library in ("numpy", "torch", "jax")
        assert (f"tests.zoo.mutants.{path.stem}" in collected) == (library in installed)


@pytest.mark.parametrize("sin", SINS)
def test_sin_is_present(sin):
    assert SINS[sin] in {specimen.name for specimen in MUTANTS}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"{claim.role}-{claim.family}")
def test_every_check_has_a_mutant_of_its_own(claim):
    own = {specimen.only for specimen in MUTANTS if (specimen.role, specimen.family) == (claim.role, claim.family)}
    assert own >= ({"dirac", "digits"} if claim.family == "dirac" else {"gaussian-mixture"})


def test_a_new_one_has_no_past():
    (specimen,) = [specimen for specimen in MUTANTS if specimen.name == "posterior_mean/weights_kept"]
    assert specimen.new() is not specimen.new()


@EVERY
def test_right_in_structure(specimen):
    problem = ordinary_problem(specimen)
    # JAX compiles every operation anew for another dtype.
    for dtype in specimen.dtypes[-1:] if specimen.backend == "jax" else specimen.dtypes:
        subject = subject_of(specimen, dtype)
        with warnings.catch_warnings(action="ignore"):
            handed = round_problem(subject, problem)
        if specimen.diagnosis == Fault.ARGUMENT_CHANGED:
            with pytest.raises(BrokenAnswerError, match="in place"):
                call(subject, handed, dtype)
        else:
            call(subject, handed, dtype)
