"""Wrong weights of the atoms or components: normalised over something else, cut off, rounded, put together wrongly."""

import functools
from collections.abc import Callable, Iterator
from typing import TypeAlias, TypeVar

import numpy as np

from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.diagnosis.explanation import Explanation, Fault
from afi_properties.diagnosis.hypotheses.hypothesis import Hypothesis, NotTriedError, Predict
from afi_properties.diagnosis.hypotheses.posteriors import CONVENTIONS, Posterior, answer_with, posterior_of, softmax
from afi_properties.problem import Array

Weights: TypeAlias = Callable[[Posterior], Array]
"""Makes wrong weights (B, N)."""

_SIZES = (1, 2, 3, 4, 5, 8, 10, 16, 20, 25, 32, 50, 64, 100, 128, 200, 250, 256, 500, 512, 1000, 1024)
"""Of chunks, and numbers of atoms."""


def hypotheses() -> Iterator[Hypothesis]:
    """Yield hypotheses about weights, those that add up to 1 first."""
    for kind in (_axes, _exponents, _sums, _roundings, _orders, _chunks, _cuts):
        for fault, words, weights in kind():
            for convention in CONVENTIONS if kind in (_axes, _sums, _cuts, _roundings) else CONVENTIONS[:1]:
                yield Explanation(fault, f"equals the truth with {words}"), _answer(weights, convention)


def _answer(weights: Weights, convention: str) -> Predict:
    def predicted(exhibit: Exhibit) -> Array:
        changed = weights(posterior_of(exhibit))
        if convention != CONVENTIONS[0] and np.allclose(changed.sum(axis=1), 1, rtol=1e-14, atol=0):
            return answer_with(exhibit, changed)  # the conventions differ for other sums alone
        return answer_with(exhibit, changed, convention)

    return predicted


def _damped(weights: Weights) -> Callable[[Posterior, float], Array]:
    def damped(p: Posterior, small: float) -> Array:
        made = weights(p)
        return np.asarray(made / (made.sum(axis=1, keepdims=True) + small))

    return damped


_T = TypeVar("_T")


def _bound(weights: Callable[[Posterior, _T], Array], value: _T) -> Weights:
    """Bind what a loop runs over: closures would see its last value."""
    return lambda p: weights(p, value)


_Kind: TypeAlias = Iterator[tuple[Fault, str, Weights]]


def _axes() -> _Kind:
    words = "weights normalised over the batch"
    yield Fault.WRONG_AXIS, words, lambda p: softmax(p.logits, axis=0)
    yield Fault.WRONG_AXIS, f"{words}, without the prior ones", lambda p: softmax(p.exponents, axis=0)
    yield Fault.WRONG_AXIS, f"{words} once more", lambda p: p.weights / p.weights.sum(axis=0)
    words = "weights normalised over batch and atoms together"
    yield Fault.WRONG_AXIS, words, lambda p: _normalised(np.exp(p.logits - p.logits.max()), axis=(0, 1))
    words = "the batch's mean weights for each point's"
    yield Fault.BATCH, words, lambda p: np.broadcast_to(p.weights.mean(axis=0), p.weights.shape)
    words = "the weights of the first point for all"
    yield Fault.BATCH, words, lambda p: np.broadcast_to(p.weights[0], p.weights.shape)


def _exponents() -> _Kind:
    def tempered(power: float) -> Weights:
        return lambda p: softmax(p.logits * power)

    words = "uniform weights"
    yield Fault.WEIGHTS_WRONG, words, lambda p: np.full(p.exponents.shape, 1 / p.exponents.shape[1])
    words = "the prior weights for the posterior ones"
    yield Fault.WEIGHTS_WRONG, words, lambda p: np.broadcast_to(np.exp(p.log_prior), p.exponents.shape)
    for power, name in ((2, "squared"), (0.5, "roots"), (0.25, "fourth roots"), (4, "to the fourth power"), (-1, "−1")):
        yield Fault.WEIGHTS_WRONG, f"the posterior weights {name}, normalised", tempered(power)
    for power in (0.5, 2.0, 3.0, -1.0, 1 / np.log(10), 1 / np.log(2)):
        words = f"the prior weights to the power {power:.3g}"
        yield Fault.WEIGHTS_WRONG, words, _bound(lambda p, s: softmax(s * p.log_prior + p.exponents), power)
    for factor in (0.25, 4.0, 1 / np.sqrt(2), np.sqrt(2), np.pi, 1 / np.pi, 1 / np.log(2), np.log(2)):
        words = f"the exponents times {factor:.3g}"
        yield Fault.WEIGHTS_WRONG, words, _bound(lambda p, f: softmax(p.log_prior + f * p.exponents), factor)
    for power in (-1.0, -0.5, 0.5, 1.0):
        words = f"the exponents times d to the power {power:g}"
        yield (
            Fault.WEIGHTS_WRONG,
            words,
            _bound(lambda p, f: softmax(p.log_prior + p.dimension**f * p.exponents), power),
        )
    words = "the exponents over N"
    yield Fault.WEIGHTS_WRONG, words, lambda p: softmax(p.log_prior + p.exponents / len(p.log_prior))
    words = "the prior weights times the exponents"
    yield Fault.WEIGHTS_WRONG, words, lambda p: softmax(np.exp(p.log_prior) * p.exponents)
    words = "the prior weights, times N, times the exponents"
    yield Fault.WEIGHTS_WRONG, words, lambda p: softmax(len(p.log_prior) * np.exp(p.log_prior) * p.exponents)
    words = "the prior weights added to the exponents, times N"
    yield Fault.WEIGHTS_WRONG, words, lambda p: softmax(len(p.log_prior) * np.exp(p.log_prior) + p.exponents)


def _sums() -> _Kind:
    def count(p: Posterior) -> int:
        return p.exponents.shape[1]

    def relative(logits: Array) -> Array:
        return np.asarray(np.exp(logits - logits.max(axis=1, keepdims=True)))

    def over(weights: Weights, divisor: Callable[[Posterior], Array | float]) -> Weights:
        return lambda p: weights(p) / divisor(p)

    def prior(p: Posterior) -> Array:
        return np.asarray(np.exp(p.log_prior))

    made: tuple[tuple[str, Weights], ...] = (
        ("exponentials", lambda p: np.exp(p.logits)),
        ("exponentials relative to the largest", lambda p: relative(p.logits)),
        ("exponentials without the prior weights", lambda p: np.exp(p.exponents)),
        ("exponentials without the prior weights, relative to the largest", lambda p: relative(p.exponents)),
        ("prior weights times exponentials relative to the largest", lambda p: prior(p) * relative(p.exponents)),
        ("prior weights times a softmax without them", lambda p: prior(p) * softmax(p.exponents)),
        ("prior weights times the posterior ones", lambda p: prior(p) * p.weights),
        ("weights", lambda p: p.weights),
    )
    for words, weights in made:
        if words != "weights":
            yield Fault.WEIGHTS_UNNORMALISED, f"{words}, not divided by their sum", weights
        yield Fault.WEIGHTS_UNNORMALISED, f"{words}, divided by N", over(weights, count)
        yield Fault.WEIGHTS_UNNORMALISED, f"{words}, times N", over(weights, lambda p: 1 / count(p))
    words = "weights over their norm"
    yield Fault.WEIGHTS_UNNORMALISED, words, over(made[-1][1], lambda p: _norm(p.weights))
    yield (
        Fault.WEIGHTS_UNNORMALISED,
        "weights over the square root of their sum",
        over(made[1][1], lambda p: np.sqrt(relative(p.logits).sum(axis=1, keepdims=True))),
    )
    yield (
        Fault.WEIGHTS_UNNORMALISED,
        "weights over the square of their sum",
        over(made[1][1], lambda p: relative(p.logits).sum(axis=1, keepdims=True) ** 2),
    )
    yield Fault.WEIGHTS_WRONG, "the squares of the weights", lambda p: p.weights**2
    yield Fault.WEIGHTS_WRONG, "the roots of the weights", lambda p: np.sqrt(p.weights)
    for small in (10.0**-k for k in range(1, 17)):
        words = f"{small:g} added to the sum of the weights"
        for weights in (lambda p: relative(p.logits), *(made[k][1] for k in (0, 3, 2))):
            yield Fault.EPSILON, words, _bound(_damped(weights), small)
        words = f"{small:g} added to each weight"
        yield Fault.EPSILON, words, _bound(lambda p, s: p.weights + s, small)
        yield Fault.EPSILON, f"{words}, normalised again", _bound(lambda p, s: _normalised(p.weights + s), small)


def _roundings() -> _Kind:
    for name in ("float16", "bfloat16", "float32"):
        into = functools.partial(_rounded, name=name)
        words = f"in {name}"
        yield Fault.LOW_PRECISION, f"weights {words}", _bound(lambda p, r: r(p.weights), into)
        yield (
            Fault.LOW_PRECISION,
            f"weights {words}, normalised again",
            _bound(lambda p, r: _normalised(r(p.weights)), into),
        )
        yield (
            Fault.LOW_PRECISION,
            f"exponents {words}",
            _bound(lambda p, r: softmax(p.log_prior + r(p.exponents)), into),
        )
        yield (
            Fault.LOW_PRECISION,
            f"differences of exponents {words}",
            _bound(lambda p, r: softmax(p.log_prior + r(_less_the_largest(p.exponents))), into),
        )
        yield Fault.LOW_PRECISION, f"logits {words}", _bound(lambda p, r: softmax(r(p.logits)), into)
        yield (
            Fault.LOW_PRECISION,
            f"differences of logits {words}",
            _bound(lambda p, r: softmax(r(_less_the_largest(p.logits))), into),
        )
    for decimals in range(1, 9):
        words = f"weights rounded to {decimals} decimals"
        yield Fault.LOW_PRECISION, words, _bound(lambda p, n: p.weights.round(n), decimals)
        yield (
            Fault.LOW_PRECISION,
            f"{words}, normalised again",
            _bound(lambda p, n: _normalised(p.weights.round(n)), decimals),
        )


def _orders() -> _Kind:
    def permuted(order: Callable[[Array], Array]) -> Weights:
        def weights(p: Posterior) -> Array:
            return np.stack([softmax((p.log_prior + e[order(e)])[None])[0] for e in p.exponents])

        return weights

    def priors_permuted(order: Callable[[Array], Array]) -> Weights:
        def weights(p: Posterior) -> Array:
            rows = []
            for e in p.exponents:
                moved = np.empty_like(p.log_prior)
                moved[order(e)] = p.log_prior
                rows.append(softmax((moved + e)[None])[0])
            return np.stack(rows)

        return weights

    orders: tuple[tuple[str, Callable[[Array], Array]], ...] = (
        ("sorted by distance", lambda e: np.argsort(-e, kind="stable")),
        ("sorted by distance, the furthest first", lambda e: np.argsort(e, kind="stable")),
        ("in reverse", lambda e: np.arange(len(e))[::-1]),
        ("moved by one", lambda e: np.roll(np.arange(len(e)), 1)),
        ("moved back by one", lambda e: np.roll(np.arange(len(e)), -1)),
    )
    for words, order in orders:
        yield Fault.ORDER, f"distances {words}, atoms not", permuted(order)
        yield Fault.ORDER, f"atoms {words}, their prior weights not", priors_permuted(order)
        yield (
            Fault.ORDER,
            f"weights {words}, atoms not",
            _bound(lambda p, o: np.stack([w[o(w)] for w in p.weights]), order),
        )


def _chunks() -> _Kind:
    def not_rescaled(size: int) -> Weights:
        def weights(p: Posterior) -> Array:
            chunks = [p.logits[:, i : i + size] for i in range(0, p.logits.shape[1], size)]
            largest = np.maximum.accumulate([chunk.max(axis=1) for chunk in chunks])
            return _normalised(np.hstack([np.exp(c - m[:, None]) for c, m in zip(chunks, largest, strict=True)]))

        return weights

    def each_its_own_maximum(size: int) -> Weights:
        return lambda p: _normalised(
            np.hstack([np.exp(_less_the_largest(p.logits[:, i : i + size])) for i in range(0, p.logits.shape[1], size)])
        )

    def within(size: int) -> Weights:
        def weights(p: Posterior) -> Array:
            parts = [softmax(p.logits[:, i : i + size]) for i in range(0, p.logits.shape[1], size)]
            return np.hstack(parts) / len(parts)

        return weights

    def means_of_means(size: int, normalised: bool) -> Weights:
        def weights(p: Posterior) -> Array:
            count = p.logits.shape[1]
            starts = range(0, count, size)
            lengths = np.concatenate([[min(size, count - s)] * min(size, count - s) for s in starts])
            changed = p.weights * count / len(starts) / lengths
            return _normalised(changed) if normalised else changed

        return weights

    def overlapping(size: int) -> Weights:
        def weights(p: Posterior) -> Array:
            count = p.logits.shape[1]
            times = np.ones(count)
            if size < count and count % size:
                times[count - size : count // size * size] += 1
            return _normalised(p.weights * times)

        return weights

    for size in _SIZES:
        atoms = f"chunks of {size} atoms" if size > 1 else "single atoms"
        words = f"a running sum over {atoms} that is not rescaled when the largest exponent grows"
        yield Fault.ORDER, words, not_rescaled(size)
        if size > 1:
            yield Fault.MINIBATCH, f"weights normalised within {atoms}", within(size)
            yield Fault.ORDER, f"{atoms}, each relative to its own largest exponent", each_its_own_maximum(size)
            yield Fault.MINIBATCH, f"the mean of the means of {atoms}", means_of_means(size, False)
            yield Fault.MINIBATCH, f"the mean of the means of {atoms}, normalised", means_of_means(size, True)
            yield Fault.MINIBATCH, f"the last of the {atoms} overlapping the one before", overlapping(size)


def _cuts() -> _Kind:
    def heaviest(count: int) -> Weights:
        def weights(p: Posterior) -> Array:
            ranks = (-p.weights).argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
            return np.where(ranks < count, p.weights, 0)

        return weights

    def above(threshold: float, relative: bool) -> Weights:
        def weights(p: Posterior) -> Array:
            bound = threshold * p.weights.max(axis=1, keepdims=True) if relative else threshold
            return np.where(p.weights < bound, 0, p.weights)

        return weights

    def kept(which: Callable[[int], Array]) -> Weights:
        return lambda p: np.where(which(p.weights.shape[1]), p.weights, 0)

    cuts: list[tuple[str, Weights]] = []
    for count in _SIZES:
        cuts.append((f"the {count} heaviest atoms alone" if count > 1 else "the heaviest alone", heaviest(count)))
        for words, rule in _KEPT:
            cuts.append((words.format(count), kept(functools.partial(rule, count=count))))
    for first in (32, 64, 100, 128, 256, 512, 1000, 1024):
        for step in (2, 4, 8, 10, 16, 32):
            words = f"the first {first} and one in {step} of the others"
            cuts.append((words, kept(functools.partial(_first_and_every, first=first, step=step))))
    for exponent in range(1, 13):
        for digit in (1, 2, 5):
            bound = digit * 10.0**-exponent
            cuts.append((f"weights above {bound:g} alone", above(bound, relative=False)))
            cuts.append((f"weights above {bound:g} of the largest alone", above(bound, relative=True)))
    for words, weights in cuts:
        yield Fault.TRUNCATED, words, _bound(lambda p, w: _normalised(w(p)), weights)
        yield Fault.TRUNCATED, f"{words}, not normalised again", weights


def _first_and_every(n: int, first: int, step: int) -> Array:
    return np.asarray((np.arange(n) < first) | ((np.arange(n) - first) % step == 0))


_KEPT: tuple[tuple[str, Callable[..., Array]], ...] = (
    ("the first {} alone", lambda n, count: np.arange(n) < count),
    ("the last {} alone", lambda n, count: np.arange(n) >= n - count),
    ("the first {} left out", lambda n, count: (np.arange(n) >= count) | (n <= count)),
    ("the last {} left out", lambda n, count: (np.arange(n) < n - count) | (n <= count)),
    ("one in {}", lambda n, count: np.arange(n) % count == 0),
    ("those alone that fill chunks of {}", lambda n, count: (np.arange(n) < n // count * count) | (n < count)),
)
"""Which of n atoms are kept, (n,) bool."""


def _normalised(weights: Array, axis: int | tuple[int, ...] = 1) -> Array:
    total = weights.sum(axis=axis, keepdims=True)
    if not (total > 0).all():
        raise NotTriedError
    return np.asarray(weights / total)


def _norm(weights: Array) -> Array:
    return np.asarray(np.sqrt((weights**2).sum(axis=1, keepdims=True)))


def _less_the_largest(logits: Array) -> Array:
    return np.asarray(logits - logits.max(axis=1, keepdims=True))


def _rounded(values: Array, name: str) -> Array:
    if name == "bfloat16":  # the upper half of a float32, rounded to nearest, ties to even
        bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
        return rounded.astype(np.uint32).view(np.float32).astype(np.float64)
    largest = float(np.finfo(name).max)
    return np.clip(values, -largest, largest).astype(name).astype(np.float64)
