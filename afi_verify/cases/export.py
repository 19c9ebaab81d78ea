"""Making golden cases: problems that can tell right from wrong, certified answers, attainable errors."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from afi_properties.claim import Claim
from afi_properties.judgement import LIMIT, find_truth, margins_of
from afi_properties.precision import PRECISIONS
from afi_properties.problem import Array, Problem
from afi_properties.strategies import Demand, stratified_problems
from afi_reference.certified import (
    Certified,
    CertifiedDiracMixture,
    CertifiedGaussianMixture,
    enclose_endpoint_product,
    enclose_trace_matching,
)
from afi_verify.cases.quantities import FAMILIES, HANDED, QUANTITIES, quantities_of
from afi_verify.cases.table import CASES_SCHEMA, DTYPES, Table

_INPUTS = {
    "dirac": ("x", "v", "x0", "alpha", "sigma", "data", "weights"),
    "gaussian-mixture": ("x", "v", "alpha", "sigma", "means", "covariances", "weights"),
}
_PREDICTIONS = ("eps", "head")


@dataclasses.dataclass(frozen=True)
class Request:
    """Which golden cases to make.

    Attributes
    ----------
    seed
        Of all draws.
    rounds
        How many cases of each size, for each family and dtype of the inputs.
    largest_dimension
        The largest d.
    uniform_weights
        Whether all weights within a case are the same: for code that has no weights.
    max_precision
        The largest number of bits of the certified oracles; where it is not enough, an answer is undecided.
    """

    seed: int = 0
    rounds: int = 1
    largest_dimension: int = 64
    uniform_weights: bool = False
    max_precision: int = 4096


def make_table(request: Request) -> Table:
    """Return golden cases: the same for the same request, bit for bit, on the same platform."""
    tensors: dict[str, Array] = {}
    cases = []
    for family in FAMILIES:
        for dtype in DTYPES:
            for number, problem in enumerate(_problems(request, family, dtype)):
                name = f"{family}-{dtype}-{number:03d}"
                entry, found = _case(problem, family, dtype, request.max_precision)
                cases.append({"name": name, **entry})
                tensors |= {f"{name}/{key}": value for key, value in found.items()}
    catalogue = {
        "schema": CASES_SCHEMA,
        "request": dataclasses.asdict(request),
        "dtypes": list(DTYPES),
        "limit": LIMIT,
        "quantities": {
            family: {claim.role: _describe(claim) for claim in QUANTITIES if claim.family == family}
            for family in FAMILIES
        },
        "cases": cases,
    }
    table = Table(catalogue, tensors)
    return Table({**catalogue, "id": table.id}, tensors)


def _describe(claim: Claim) -> dict[str, Any]:
    return {
        "claim": claim.label,
        "statement": claim.statement,
        "printed": claim.printed,
        "answer": {"scalar": "(B,)", "point": "(B, d)", "matrix": "(B, d, d)"}[claim.answer],
        "wrong": list(claim.wrong),
    }


def _problems(request: Request, family: str, dtype: str) -> Iterator[Problem]:
    largest = max(claim.largest_dimension for claim in QUANTITIES if claim.family == family)
    demand = Demand(
        family=family,
        weights=not request.uniform_weights,
        largest_dimension=min(request.largest_dimension, largest),
    )
    # Different draws for different dtypes, so that the cases of one are not those of the other over again.
    yield from stratified_problems(demand, request.rounds, 2 * request.seed + DTYPES.index(dtype))


def _case(problem: Problem, family: str, dtype: str, max_precision: int) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return what the catalogue says about a case, and its tensors."""
    inputs = {name: _rounded(problem.values[name], dtype) for name in _INPUTS[family]}
    oracle = _oracle(inputs, max_precision)
    x, alpha, sigma = inputs["x"], inputs["alpha"], inputs["sigma"]
    if family == "dirac":
        score = oracle.score(x, alpha, sigma)
        moment = oracle.posterior_second_moment(x, alpha, sigma)
        # Without them the formulas have nothing to be evaluated at; the other quantities do not need them.
        if score.value is not None and moment.value is not None:
            inputs["eps"] = _rounded(-sigma[:, None] * score.value, dtype)
            inputs["head"] = _rounded(moment.value / problem.dimension, dtype)
    tensors = {f"input/{name}": value.astype(dtype) for name, value in inputs.items()}
    undecided = {}
    for claim in quantities_of(family, problem.dimension):
        handed = HANDED.get(claim.role, ())
        if not set(handed) <= set(inputs):
            continue
        answer = _answer(oracle, claim.role, inputs, max_precision)
        if answer.value is None:
            undecided[claim.role] = answer.reason
        else:
            tensors[f"answer/{claim.role}"] = answer.value
        seen = {k: v for k, v in inputs.items() if k not in _PREDICTIONS or k in handed}
        attainable, margin = _judge(claim, {"x0": x, **seen}, problem)
        tensors[f"attainable/{claim.role}"] = attainable
        tensors[f"margin/{claim.role}"] = margin
    entry = {
        "family": family,
        "inputs": dtype,
        "description": problem.description,
        "batch": problem.batch,
        "atoms": problem.atoms,
        "dimension": problem.dimension,
        "log_snr": [float(2 * (np.log(a) - np.log(s))) for a, s in zip(alpha, sigma, strict=True)],
        "undecided": undecided,
    }
    return entry, tensors


def _rounded(values: Array, dtype: str) -> Array:
    """Round to ``dtype`` and return as float64: exactly what a reader of the file gets."""
    return np.asarray(values).astype(dtype).astype(np.float64)


def _oracle(inputs: Mapping[str, Array], max_precision: int) -> CertifiedDiracMixture | CertifiedGaussianMixture:
    weights = inputs["weights"]
    if "data" in inputs:
        return CertifiedDiracMixture(inputs["data"], weights, max_precision=max_precision)
    return CertifiedGaussianMixture(inputs["means"], inputs["covariances"], weights, max_precision=max_precision)


def _answer(
    oracle: CertifiedDiracMixture | CertifiedGaussianMixture,
    role: str,
    inputs: Mapping[str, Array],
    max_precision: int,
) -> Certified:
    x, v, alpha, sigma = (inputs[name] for name in ("x", "v", "alpha", "sigma"))
    if role == "fisher_trace_matching":
        return enclose_trace_matching(x, inputs["eps"], inputs["head"], alpha, sigma, max_precision=max_precision)
    if role == "fisher_vector_product_endpoint":
        return enclose_endpoint_product(x, v, inputs["x0"], inputs["eps"], alpha, sigma, max_precision=max_precision)
    if role == "fisher_vector_product":
        return oracle.fisher_vector_product(x, v, alpha, sigma)
    answer: Certified = getattr(oracle, role)(x, alpha, sigma)
    return answer


def _judge(claim: Claim, inputs: Mapping[str, Array], problem: Problem) -> tuple[Array, Array]:
    """Return attainable errors (dtypes, B), and margins (dtypes, wrong formulas, B): NaN where there is none."""
    attainable = np.full((len(DTYPES), problem.batch), np.inf)
    margin = np.full((len(DTYPES), len(claim.wrong), problem.batch), np.nan, dtype=np.float32)
    for row, dtype in enumerate(DTYPES):
        truth = find_truth(claim, inputs, problem, None, PRECISIONS[dtype])
        if truth.representable.any():
            attainable[row] = np.where(truth.representable, truth.attainable, np.inf)
        margins = margins_of(claim, inputs, None, truth)
        for column, formula in enumerate(claim.wrong):
            if formula in margins:
                # A margin says how clear a case is: beyond 10^30 (and float32) there is nothing to tell.
                margin[row, column] = np.minimum(margins[formula], 1e30)
    return attainable, margin
