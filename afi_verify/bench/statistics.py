"""How often the sequential tests call what is right wrong, and what is wrong right: counted over many repetitions."""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from afi_properties.claims.trace_stochastic import SCATTER
from afi_properties.problem import Array
from afi_properties.statistics import FALSE_ALARM, MISS, BiasTest, ExcessRiskTest, Outcome
from afi_verify.report.study import Cell, Section, Study, Table
from afi_verify.stochastic_checks import BIAS, CHECKS_IN_A_RUN

SCHEMA = "afi-verify/statistics/1"

Draw = Callable[[np.random.Generator, int], Array]
"""Draws answers whose mean is 1, shape (n,)."""

DIMENSION, PROBES = 64, 32
STRICT = FALSE_ALARM / CHECKS_IN_A_RUN
LOOSE = 0.05
"""A false-alarm rate that so many repetitions can resolve: the strict one would never be seen."""

_RISKS = (1e-3, 4e-3)  # acceptable and unacceptable
_MOST_LOSSES = 20_000
_AT_ONCE = 128  # answers between two looks


def _jacobian() -> tuple[Array, Array, float, float]:
    """``J = I + p q^T``, of positive entries: p, q, its trace, and the largest variance that the claim allows."""
    rng = np.random.default_rng(0)
    p, q = np.abs(rng.standard_normal((2, DIMENSION))) * DIMENSION**-0.25
    trace = DIMENSION + p @ q
    square = DIMENSION + 2 * p @ q + ((p @ p) * (q @ q) + (p @ q) ** 2) / 2
    return p, q, float(trace), float(SCATTER * 2 * square / PROBES / trace**2)


_P, _Q, _TRACE, VARIANCE = _jacobian()


def _hutchinson(probes: Array) -> Draw:
    """Means of ``PROBES`` quadratic forms drawn from those of ``probes``, whose mean then is the exact truth."""
    forms = (probes * probes).sum(axis=1) + (probes @ _P) * (probes @ _Q)
    forms /= forms.mean()
    return lambda rng, n: forms[rng.integers(0, len(forms), (n, PROBES))].mean(axis=1)


@functools.cache
def _estimators() -> dict[str, Draw]:
    rng = np.random.default_rng(1)
    shape = (2**16, DIMENSION)
    return {
        "Hutchinson, random signs": _hutchinson(2.0 * rng.integers(0, 2, shape) - 1),
        "Hutchinson, Gaussian": _hutchinson(rng.standard_normal(shape)),
        "rare large values, largest variance": _rare,
        "exact": lambda rng, n: np.ones(n),
    }


def _rare(rng: np.random.Generator, n: int) -> Array:
    """Almost always a little too low, once in a thousand far too high; of the largest variance allowed."""
    chance = 1e-3
    high = math.sqrt(VARIANCE * (1 - chance) / chance)
    return np.where(rng.random(n) < chance, 1 + high, 1 - high * chance / (1 - chance))


LOSSES: dict[str, Draw] = {
    "squared normal": lambda rng, n: rng.standard_normal(n) ** 2,
    "exponential": lambda rng, n: rng.exponential(size=n),
    "nine in ten are zero": lambda rng, n: np.where(rng.random(n) < 0.1, 10.0, 0.0),
}


def run_statistics(repetitions: int, seed: int, listen: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Return how often each outcome came about."""
    rows = []
    for number, (name, draw) in enumerate(_estimators().items()):
        for bias, false_alarm in ((0.0, STRICT), (0.0, LOOSE), (BIAS, STRICT), (-BIAS, STRICT)):
            listen(f"{name}, bias {bias:+.0%}, false-alarm rate {false_alarm:g}")
            rngs = (np.random.default_rng([seed, number, index]) for index in range(repetitions))
            outcomes = [_one(draw, bias, false_alarm, rng) for rng in rngs]
            rows.append({"name": name, "bias": bias, "false_alarm": false_alarm, **_counts(outcomes)})
    losses = []
    for number, (name, draw) in enumerate(LOSSES.items()):
        for mean, false_alarm in ((_RISKS[0] / 2, STRICT), (_RISKS[0], LOOSE), (_RISKS[1], STRICT)):
            listen(f"{name}, mean {mean:g}")
            rngs = (np.random.default_rng([seed, 100 + number, index]) for index in range(repetitions))
            outcomes = [_one_risk(draw, mean, false_alarm, rng) for rng in rngs]
            losses.append({"name": name, "mean": mean, "false_alarm": false_alarm, **_counts(outcomes)})
    return {
        "schema": SCHEMA,
        "repetitions": repetitions,
        "seed": seed,
        "stated": {"false_alarm": STRICT, "miss": 2 * MISS, "bias": BIAS, "acceptable": _RISKS[0], "wrong": _RISKS[1]},
        "estimates": rows,
        "losses": losses,
    }


def _one(draw: Draw, bias: float, false_alarm: float, rng: np.random.Generator) -> tuple[Outcome, int]:
    one = np.ones(1)
    test = BiasTest(one, 1e-6 * one, BIAS * one, VARIANCE * one, false_alarm)
    outcome = Outcome.OPEN
    # To see false alarms, repetitions go on where the check itself would have accepted.
    going = (Outcome.OPEN, Outcome.RIGHT) if false_alarm == LOOSE else (Outcome.OPEN,)
    while outcome in going and test.count < test.budget:
        outcome = test.add(draw(rng, min(_AT_ONCE, test.budget - test.count))[:, None] + bias)
    return outcome, test.count


def _one_risk(draw: Draw, mean: float, false_alarm: float, rng: np.random.Generator) -> tuple[Outcome, int]:
    test = ExcessRiskTest(*_RISKS, false_alarm)
    outcome = Outcome.OPEN
    while outcome is Outcome.OPEN and test.count < _MOST_LOSSES:
        outcome = test.add(mean * draw(rng, 64))
    return outcome, test.count


def _counts(outcomes: list[tuple[Outcome, int]]) -> dict[str, Any]:
    counted = {kind.value: sum(outcome is kind for outcome, _ in outcomes) for kind in Outcome}
    return {"outcomes": counted, "median_answers": float(np.median([count for _, count in outcomes]))}


def kept(document: dict[str, Any]) -> bool:
    """Whether no stated rate was exceeded."""
    return all(_row_kept(row, document) for row in document["estimates"] + document["losses"])


def _row_kept(row: dict[str, Any], document: dict[str, Any]) -> bool:
    n, outcomes = document["repetitions"], row["outcomes"]
    innocent = row["bias"] == 0 if "bias" in row else row["mean"] <= document["stated"]["acceptable"]
    if innocent:
        return bool(outcomes["biased"] + outcomes["scattered"] <= row["false_alarm"] * n)
    caught = outcomes["biased"] + outcomes["scattered"]
    return bool(caught >= (1 - document["stated"]["miss"]) * n)


def make_study(document: dict[str, Any], command: str, environment: dict[str, str]) -> Study:
    """Arrange the counts as a page."""
    good = kept(document)
    n, stated = document["repetitions"], document["stated"]
    columns = ("right", "biased", "scattered", "open")

    def table(caption: str, rows: list[dict[str, Any]], what: Callable[[dict[str, Any]], str]) -> Table:
        lines = []
        for row in rows:
            tone = "pass" if _row_kept(row, document) else "fail"
            counts = [str(row["outcomes"][column]) for column in columns]
            told = Cell("kept" if tone == "pass" else "exceeded", tone)
            lines.append(
                (row["name"], what(row), f"{row['false_alarm']:g}", *counts, f"{row['median_answers']:g}", told)
            )
        heads = ("Distribution", "Truth", "Stated false alarms", *columns, "Median answers", "Stated rates")
        return Table(caption, heads, tuple(lines))

    return Study(
        name="sequential tests",
        answer=f"Stated rates {'kept' if good else 'exceeded'} over {n} repetitions.",
        tone="pass" if good else "fail",
        lead=(
            "A check of a stochastic trace calls a right estimator wrong with probability at most "
            f"{stated['false_alarm']:g}, and one that is off by {stated['bias']:.0%} right with probability at most "
            f"{stated['miss']:g}. Rates as small as the first cannot be seen in {n} repetitions, so {LOOSE:g} is "
            "counted, too, without accepting early."
        ),
        sections=(
            Section(
                "Stochastic traces",
                (
                    f"Estimates with {PROBES} probes each of the trace of a Jacobian in {DIMENSION} dimensions that is "
                    "known and not symmetric.",
                ),
                (),
                (table("Outcomes by estimator and bias", document["estimates"], lambda row: f"{row['bias']:+.0%}"),),
            ),
            Section(
                "Excess risks",
                (
                    f"Means of values that are not negative: {stated['acceptable']:g} is acceptable, "
                    f"{stated['wrong']:g} is not.",
                ),
                (),
                (table("Outcomes by distribution and mean", document["losses"], lambda row: f"{row['mean']:g}"),),
            ),
        ),
        command=command,
        environment=environment,
    )
