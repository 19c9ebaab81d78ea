"""Seconds per point of the certified oracle on real data: the digits, N = 1,797, d = 64."""

import statistics
import time
from typing import Any

from afi_properties.real_data import LOG_SNRS, load_digits_atoms, noised_problems
from afi_reference.certified import Certified, CertifiedDiracMixture


def run_certified_bench(seed: int = 0) -> dict[str, Any]:
    """Time the trace and the operator at one point per noise level, each a proof and a float64 rounding.

    Returns
    -------
    dict
        JSON values: the sizes, ``levels`` (per log-SNR the seconds, the bits and whether it was decided), and the
        median and the largest number of seconds per point.
    """
    atoms = load_digits_atoms()
    start = time.perf_counter()
    oracle = CertifiedDiracMixture(atoms)
    preparation = time.perf_counter() - start
    levels = []
    for log_snr, problem in zip(LOG_SNRS, noised_problems("digits", atoms, None, seed), strict=True):
        x, v, alpha, sigma = (problem.values[name] for name in ("x", "v", "alpha", "sigma"))
        row: dict[str, Any] = {"log_snr": log_snr}
        answers: dict[str, Certified] = {}
        for name, arguments in (("fisher_trace", (x,)), ("fisher_vector_product", (x, v))):
            start = time.perf_counter()
            answers[name] = getattr(oracle, name)(*arguments, alpha, sigma)
            row[f"{name}_seconds"] = time.perf_counter() - start
        row["bits"] = max(answer.precision for answer in answers.values())
        row["decided"] = all(answer.decided for answer in answers.values())
        levels.append(row)
    summary = {
        name: {
            "median_seconds": statistics.median(row[f"{name}_seconds"] for row in levels),
            "largest_seconds": max(row[f"{name}_seconds"] for row in levels),
        }
        for name in ("fisher_trace", "fisher_vector_product")
    }
    return {
        "atoms": len(atoms),
        "dimension": atoms.shape[1],
        "preparation_seconds": preparation,
        "undecided": sum(not row["decided"] for row in levels),
        **summary,
        "levels": levels,
    }
