"""Tests of appendix C.5: how many probes Hutchinson's estimator needs, exactly for small matrices, and on data."""

import itertools
import math
from fractions import Fraction
from functools import cache

import numpy as np
import sympy
from flint import arb
from scipy.special import erfinv
from sklearn.datasets import load_digits

from afi_properties.audit.entry import Method, Outcome
from afi_properties.audit.evidence import exact, merge, symbolic, within
from afi_reference import DiracMixture
from afi_reference.distribution import Array

EPSILON, DELTA = Fraction(1, 10), Fraction(1, 10)


def printed_count(cases: int, *, count: int) -> Outcome:
    """Evaluate the printed formula for a relative error of 10 % with probability 90 %, in ball arithmetic."""
    epsilon = arb(1) / 10
    value = 2 * (1 - 8 * epsilon / 3) * arb(10).log() / epsilon**2
    needed = value.ceil().unique_fmpz()
    return exact(
        needed is not None and int(needed) == count, f"2 (1 - 8ε/3) log(1/δ)/ε² = {value.str(7, radius=False)}"
    )


def enough_probes(cases: int, *, bound: str) -> Outcome:
    """Test a number of Rademacher probes, for relative error epsilon with probability 1 - delta, on [[a, b], [b, c]].

    A probe gives a + c + 2 b or a + c - 2 b, each with probability 1/2, so the probability of a miss is a binomial sum.
    """
    outcomes = [] if bound == "printed" else [variance_formula(cases)]
    for (a, b, c), epsilon, delta in itertools.product(
        ((1, 1, 1), (2, 1, 1), (4, 2, 1), (3, -1, 1)),
        (Fraction(1, 2), Fraction(3, 10)),
        (Fraction(1, 10), Fraction(1, 4)),
    ):
        if bound == "printed":
            value = 2 * (1 - 8 * float(epsilon) / 3) * math.log(1 / float(delta)) / float(epsilon) ** 2
            count = max(1, math.ceil(value))
        else:
            count = math.ceil(Fraction(4 * b * b) / (delta * epsilon**2 * (a + c) ** 2))
        missed = sum(
            math.comb(count, k) for k in range(count + 1) if abs(2 * b * (2 * k - count)) > epsilon * (a + c) * count
        )
        probability = Fraction(missed, 2**count)
        if probability > delta:
            outcomes.append(
                exact(
                    False,
                    f"[[{a}, {b}], [{b}, {c}]], ε = {epsilon}, δ = {delta}: {count} probes miss with probability"
                    f" {float(probability):.3g}" + (f" (the formula gives {value:.1f})" if bound == "printed" else ""),
                )
            )
            break
    else:
        outcomes.append(exact(True, "probability of a miss at most δ in 16 cases, by binomial sums"))
    return merge(outcomes)


def variance_formula(cases: int) -> Outcome:
    """Derive the variance of one Rademacher probe by all sign vectors: 2 |S|^2 off the diagonal, S symmetric part."""
    d = 3
    A = sympy.Matrix(d, d, lambda i, j: sympy.Symbol(f"a_{i}{j}", real=True))
    values = [(sympy.Matrix(1, d, z) * A * sympy.Matrix(d, 1, z))[0] for z in itertools.product((1, -1), repeat=d)]
    mean = sum(values) / len(values)
    variance = sum(v**2 for v in values) / len(values) - mean**2
    S = (A + A.T) / 2
    claimed = 2 * sum(S[i, j] ** 2 for i in range(d) for j in range(d) if i != j)
    holds = sympy.expand(mean - A.trace()) == 0 and sympy.expand(variance - claimed) == 0
    return symbolic(holds, "variance of a probe: 2‖S - diag S‖², S the symmetric part, by all sign vectors, d = 3")


def fewest_probes(cases: int, *, at_least: int) -> Outcome:
    """Whether ``at_least`` Gaussian probes are needed for F = I / sigma^2 in 16384 dimensions.

    The estimate over the trace is chi^2/(m d), of variance 2 / (m d): Chebyshev says that one probe is enough if
    2 / (d epsilon^2) <= delta.
    """
    needed = math.ceil(Fraction(2, 16384) / (DELTA * EPSILON**2))
    return exact(needed >= at_least, f"F = I/σ², d = 16384: {needed} probe is enough for 10 % with 90 %")


@cache
def probes_on_digits() -> tuple[int, int]:
    """Count the Rademacher probes that 10 % with 90 % takes on the handwritten digits, as range over noise levels.

    By the normal law of the mean of many probes with the derived variance.
    """
    data: Array = load_digits().data / 8.0 - 1.0
    law = DiracMixture(data)
    generator = np.random.default_rng(5)
    quantile = math.sqrt(2) * float(erfinv(1 - float(DELTA)))
    counts = []
    for log_snr in (-4.0, -2.0, 0.0, 2.0):
        alpha, sigma = math.sqrt(1 / (1 + math.exp(-log_snr))), math.sqrt(1 / (1 + math.exp(log_snr)))
        x = alpha * data[generator.integers(0, len(data), 8)] + sigma * generator.standard_normal((8, data.shape[1]))
        F = law.fisher(x, alpha, sigma)
        off = F - np.einsum("bii->bi", F)[:, :, None] * np.eye(F.shape[1])
        relative = 2 * (off**2).sum((1, 2)) / np.einsum("bii->b", F) ** 2
        counts += [math.ceil(r * (quantile / float(EPSILON)) ** 2) for r in relative]
    return min(counts), max(counts)


def measured_probes(cases: int, *, low: int, high: int) -> Outcome:
    """Test that the numbers of probes on the digits lie in a range."""
    fewest, most = probes_on_digits()
    return Outcome(
        low <= fewest <= most <= high,
        (Method.NUMERIC,),
        f"digits, d = 64, log-SNR -4 to 2: {fewest} to {most} Rademacher probes",
        {"fewest": fewest, "most": most},
    )


def minutes(cases: int, *, low: float, high: float) -> Outcome:
    """Measure the minutes for 351 gradients by Table 1's seconds for 16384 of them."""
    return within(351 * 2195.48 / 16384 / 60, low, high, "minutes for 351 gradients", Method.EXACT)
