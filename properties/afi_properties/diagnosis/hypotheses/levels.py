"""Noise levels taken for others."""

from collections.abc import Callable, Iterator

import numpy as np

from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.diagnosis.explanation import Explanation, Fault
from afi_properties.diagnosis.hypotheses.hypothesis import (
    Hypothesis,
    Levels,
    NotTriedError,
    Predict,
    with_levels,
    with_levels_in_epsilon,
    with_levels_in_factors,
    with_levels_in_head,
    with_levels_in_mean,
    with_levels_in_weights,
    with_sigma_outside,
)
from afi_properties.inputs import Inputs
from afi_properties.problem import Array

_POWERS = (Fault.POWER_OF_ALPHA, Fault.POWER_OF_SIGMA)
_IN_WEIGHTS = " in the weights"

_PLACES = (
    (_IN_WEIGHTS, with_levels_in_weights),  # first: a posterior mean is wrong there if at all
    ("", with_levels),
    (" before the posterior", with_levels_in_factors),
    (" in ε", with_levels_in_epsilon),
    (" in the posterior mean", with_levels_in_mean),
    (" in the head", with_levels_in_head),
    (" before the derivative", with_sigma_outside),
)

_PLACES_OF_SMALL_NUMBERS = (*_PLACES[:3], _PLACES[4])

_OF_BATCH: tuple[tuple[str, Callable[[Array], Array]], ...] = (
    ("the first", lambda a: a[0]),
    ("the last", lambda a: a[-1]),
    ("the mean", np.mean),
    ("the largest", np.max),
    ("the smallest", np.min),
    ("the median", np.median),
)


def hypotheses() -> Iterator[Hypothesis]:
    """Yield hypotheses about alpha, sigma and t."""
    for place, predict in _PLACES:
        for fault, words, change in _CHANGES:
            kind = Fault.WEIGHTS_WRONG if place == _IN_WEIGHTS and fault in _POWERS else fault
            yield Explanation(kind, f"equals the truth {words}{place}"), predict(change)
    for fault, words, shifted in _times():
        for place, predict in _PLACES:
            yield Explanation(fault, f"equals the truth {words}{place}"), _at_time(shifted, predict)
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


def _of_batch() -> Iterator[tuple[Fault, str, Levels]]:
    for words, choose in _OF_BATCH:
        both: Levels = lambda i, c=choose: _all(i, c)  # type: ignore[misc]  # noqa: E731
        yield Fault.BATCH_NOISE, f"with {words} noise level of the batch for all", both
        yield Fault.BATCH_NOISE, f"with {words} σ of the batch for all", lambda i, b=both: (i.alpha, b(i)[1])  # type: ignore[misc]
        yield Fault.BATCH_NOISE, f"with {words} α of the batch for all", lambda i, b=both: (b(i)[0], i.sigma)  # type: ignore[misc]


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
    (Fault.SCHEDULE, "with α = 1−σ, whatever the schedule", lambda i: (1 - i.sigma, i.sigma)),
    (Fault.SCHEDULE, "with σ = 1−α, whatever the schedule", lambda i: (i.alpha, 1 - i.alpha)),
    (Fault.POWER_OF_ALPHA, "with 1 where α belongs", lambda i: (np.ones_like(i.alpha), i.sigma)),
    (Fault.POWER_OF_SIGMA, "with 1 where σ belongs", lambda i: (i.alpha, np.ones_like(i.sigma))),
    (Fault.SCHEDULE, "with 1 for α and σ/α for σ", lambda i: (np.ones_like(i.alpha), i.sigma / i.alpha)),
    (Fault.SCHEDULE, "with α and σ exchanged", lambda i: (i.sigma, i.alpha)),
    *_of_batch(),
    (Fault.BATCH, "with the noise levels of the batch in reverse", lambda i: (i.alpha[::-1], i.sigma[::-1])),
)


def _times() -> Iterator[tuple[Fault, str, Callable[[Array], Array]]]:
    for count in (1000, 999, 100, 50):
        for steps in (1, -1, 2, -2):
            words = f"{steps:+d} time steps of 1/{count}"
            yield Fault.TIMESTEP, words, lambda t, s=steps / count: t + s  # type: ignore[misc]
    for step in (1.0, -1.0):
        yield Fault.TIMESTEP, f"at t {step:+g}", lambda t, s=step: t + s  # type: ignore[misc]
    for count in (1000, 999, 500, 100, 50):
        for words, round_ in (("down", np.floor), ("up", np.ceil), ("", np.round)):
            words = f"with t rounded {words + ' ' if words else ''}to {count} steps"
            yield Fault.TIMESTEP, words, lambda t, n=count, r=round_: np.maximum(r(t * n), 1) / n  # type: ignore[misc]
    for words, choose in _OF_BATCH:
        yield Fault.BATCH_NOISE, f"with {words} t of the batch for all", lambda t, c=choose: np.full_like(t, c(t))  # type: ignore[misc]
    yield Fault.TIMESTEP, "at the time 1 − t", lambda t: 1 - t


def _at_time(shifted: Callable[[Array], Array], predict: Callable[[Levels], Predict]) -> Predict:
    def predicted(exhibit: Exhibit) -> object:
        schedule, right = exhibit.problem.schedule, exhibit.problem.values["t"]
        times = shifted(right)
        if (times < schedule.t_min).any() or (times > schedule.t_max).any():
            raise NotTriedError  # code does something about it, and nobody knows what
        dtype = exhibit.inputs.x.dtype
        levels = tuple(np.asarray(f(times), dtype=dtype) for f in (schedule.alpha, schedule.sigma))
        return predict(lambda i: (levels[0], levels[1]))(exhibit)

    return predicted  # type: ignore[return-value]


def _small_numbers() -> Iterator[Hypothesis]:
    def added(small: float, power: int) -> Levels:
        return lambda i: (i.alpha, (i.sigma**power + small) ** (1 / power))

    def bounded(small: float, power: int) -> Levels:
        return lambda i: (i.alpha, np.maximum(i.sigma, small ** (1 / power)))

    for small in (10.0**-k for k in range(1, 17)):
        for power, name in ((2, "σ²"), (1, "σ"), (4, "σ⁴")):
            for place, predict in _PLACES_OF_SMALL_NUMBERS:
                words = f"equals the truth with {small:g} added to {name}{place}"
                yield Explanation(Fault.EPSILON, words), predict(added(small, power))
        for bound in (small, 2 * small, 5 * small):
            for power, name in ((1, "σ"), (2, "σ²")):
                for place, predict in _PLACES_OF_SMALL_NUMBERS:
                    words = f"equals the truth with {name} kept above {bound:g}{place}"
                    yield Explanation(Fault.CLIPPED, words), predict(bounded(bound, power))
            words = f"equals the truth with α kept above {bound:g}"
            yield Explanation(Fault.CLIPPED, words), with_levels(lambda i, b=bound: (np.maximum(i.alpha, b), i.sigma))  # type: ignore[misc]
