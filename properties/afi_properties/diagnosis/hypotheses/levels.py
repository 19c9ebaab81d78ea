"""Noise levels taken for others."""

from collections.abc import Callable, Iterator

import numpy as np

from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.diagnosis.explanation import Explanation, Fault
from afi_properties.diagnosis.hypotheses.hypothesis import (
    Hypothesis,
    Levels,
    with_levels,
    with_levels_in_factors,
    with_levels_in_weights,
)
from afi_properties.inputs import Inputs
from afi_properties.problem import Array

_PLACES = (
    ("", with_levels),
    (" in the weights", with_levels_in_weights),
    (" before the posterior", with_levels_in_factors),
)


def hypotheses() -> Iterator[Hypothesis]:
    """Yield hypotheses about alpha, sigma and t."""
    for place, predict in _PLACES:
        for fault, words, change in _CHANGES:
            yield Explanation(fault, f"equals the truth {words}{place}"), predict(change)
    for words, shifted in _times():
        for place, predict in _PLACES:
            yield Explanation(Fault.TIMESTEP, f"equals the truth {words}{place}"), _at_time(shifted, predict)
    yield from _small_numbers()


def _root(values: Array) -> Array:
    return np.sqrt(np.maximum(values, 0))


def _logistic_root(log_snr: Array) -> Array:
    return np.sqrt(1 / (1 + np.exp(-log_snr)))


def _half_log_snr(i: Inputs) -> tuple[Array, Array]:
    half = np.log(i.alpha) - np.log(i.sigma)
    return _logistic_root(half), _logistic_root(-half)


def _all(i: Inputs, choose: Callable[[Array], Array]) -> tuple[Array, Array]:
    return np.full_like(i.alpha, choose(i.alpha)), np.full_like(i.sigma, choose(i.sigma))


_CHANGES: tuple[tuple[Fault, str, Levels], ...] = (
    (Fault.ALPHA_BAR, "with α² where α belongs", lambda i: (i.alpha**2, i.sigma)),
    (Fault.ALPHA_BAR, "with √α where α belongs", lambda i: (np.sqrt(i.alpha), i.sigma)),
    (Fault.ALPHA_BAR, "with α² where α belongs, σ = √(1−α⁴)", lambda i: (i.alpha**2, _root(1 - i.alpha**4))),
    (Fault.ALPHA_BAR, "with √α where α belongs, σ = √(1−α)", lambda i: (np.sqrt(i.alpha), _root(1 - i.alpha))),
    (Fault.ALPHA_BAR, "with σ = √(1−α⁴)", lambda i: (i.alpha, _root(1 - i.alpha**4))),
    (Fault.ALPHA_BAR, "with σ² = 1−α", lambda i: (i.alpha, _root(1 - i.alpha))),
    (Fault.ALPHA_BAR, "with log(α/σ) for the log-SNR", _half_log_snr),
    (Fault.POWER_OF_SIGMA, "with σ² where σ belongs", lambda i: (i.alpha, i.sigma**2)),
    (Fault.POWER_OF_SIGMA, "with √σ where σ belongs", lambda i: (i.alpha, np.sqrt(i.sigma))),
    (Fault.SCHEDULE, "with σ = √(1−α²), whatever the schedule", lambda i: (i.alpha, _root(1 - i.alpha**2))),
    (Fault.SCHEDULE, "with α = √(1−σ²), whatever the schedule", lambda i: (_root(1 - i.sigma**2), i.sigma)),
    (Fault.SCHEDULE, "with α = 1−σ, whatever the schedule", lambda i: (np.abs(1 - i.sigma), i.sigma)),
    (Fault.SCHEDULE, "with σ = 1−α, whatever the schedule", lambda i: (i.alpha, np.abs(1 - i.alpha))),
    (Fault.POWER_OF_ALPHA, "with 1 where α belongs", lambda i: (np.ones_like(i.alpha), i.sigma)),
    (Fault.POWER_OF_SIGMA, "with 1 where σ belongs", lambda i: (i.alpha, np.ones_like(i.sigma))),
    (Fault.SCHEDULE, "with 1 for α and σ/α for σ", lambda i: (np.ones_like(i.alpha), i.sigma / i.alpha)),
    (Fault.SCHEDULE, "with α and σ exchanged", lambda i: (i.sigma, i.alpha)),
    (Fault.BATCH_NOISE, "with the first point's noise level for all", lambda i: _all(i, lambda a: a[0])),
    (Fault.BATCH_NOISE, "with the last point's noise level for all", lambda i: _all(i, lambda a: a[-1])),
    (Fault.BATCH_NOISE, "with the batch's mean noise level for all", lambda i: _all(i, np.mean)),
    (Fault.BATCH_NOISE, "with the batch's largest noise level for all", lambda i: _all(i, np.max)),
    (Fault.BATCH_NOISE, "with the first σ for all", lambda i: (i.alpha, _all(i, lambda a: a[0])[1])),
    (Fault.BATCH_NOISE, "with the last σ for all", lambda i: (i.alpha, _all(i, lambda a: a[-1])[1])),
    (Fault.BATCH_NOISE, "with the mean σ for all", lambda i: (i.alpha, _all(i, np.mean)[1])),
    (Fault.BATCH_NOISE, "with the largest σ for all", lambda i: (i.alpha, _all(i, np.max)[1])),
    (Fault.BATCH_NOISE, "with the first α for all", lambda i: (_all(i, lambda a: a[0])[0], i.sigma)),
    (Fault.BATCH, "with the noise levels of the batch in reverse", lambda i: (i.alpha[::-1], i.sigma[::-1])),
)


def _times() -> Iterator[tuple[str, Callable[[Array], Array]]]:
    for count in (1000, 999):
        for steps in (1, -1, 2, -2):
            yield f"{steps:+d} time steps of 1/{count}", lambda t, s=steps / count: t + s  # type: ignore[misc]
    for step in (1.0, -1.0):
        yield f"at t {step:+g}", lambda t, s=step: t + s  # type: ignore[misc]
    for count in (1000, 999, 100):
        yield f"with t rounded down to {count} steps", lambda t, n=count: np.floor(t * n) / n  # type: ignore[misc]
        yield f"with t rounded up to {count} steps", lambda t, n=count: np.ceil(t * n) / n  # type: ignore[misc]
        yield f"with t rounded to {count} steps", lambda t, n=count: np.round(t * n) / n  # type: ignore[misc]


def _at_time(
    shifted: Callable[[Array], Array], predict: Callable[[Levels], Callable[[Exhibit], Array | None]]
) -> Callable[[Exhibit], Array | None]:
    def predicted(exhibit: Exhibit) -> Array | None:
        schedule, right = exhibit.problem.schedule, exhibit.problem.values["t"]
        times = np.clip(shifted(right), schedule.t_min, schedule.t_max)
        dtype = exhibit.inputs.x.dtype
        levels = tuple(np.asarray(f(times), dtype=dtype) for f in (schedule.alpha, schedule.sigma))
        return predict(lambda i: (levels[0], levels[1]))(exhibit)

    return predicted


def _small_numbers() -> Iterator[Hypothesis]:
    def added(small: float, power: int) -> Levels:
        return lambda i: (i.alpha, (i.sigma**power + small) ** (1 / power))

    def bounded(small: float, power: int) -> Levels:
        return lambda i: (i.alpha, np.maximum(i.sigma, small ** (1 / power)))

    for small in (10.0**-k for k in range(1, 17)):
        for power, name in ((2, "σ²"), (1, "σ"), (4, "σ⁴")):
            for place, predict in _PLACES:
                words = f"equals the truth with {small:g} added to {name}{place}"
                yield Explanation(Fault.EPSILON, words), predict(added(small, power))
        for bound in (small, 2 * small, 5 * small):
            for power, name in ((1, "σ"), (2, "σ²")):
                for place, predict in _PLACES:
                    words = f"equals the truth with {name} kept above {bound:g}{place}"
                    yield Explanation(Fault.CLIPPED, words), predict(bounded(bound, power))
            words = f"equals the truth with α kept above {bound:g}"
            yield Explanation(Fault.CLIPPED, words), with_levels(lambda i, b=bound: (np.maximum(i.alpha, b), i.sigma))  # type: ignore[misc]
