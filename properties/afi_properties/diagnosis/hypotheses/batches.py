"""Answers mixed up within their batch, and mini-batches of atoms put together wrongly."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from afi_properties.claims.mistakes import per_point
from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.diagnosis.explanation import Explanation, Fault
from afi_properties.diagnosis.hypotheses.hypothesis import Hypothesis, NotTriedError, Predict
from afi_properties.problem import Array
from afi_reference.dirac import DiracMixture

SIZES = (2, 3, 4, 5, 8, 10, 16, 32, 50, 64, 100, 128, 250, 256, 500, 512, 1000, 1024)
"""Of mini-batches."""

LARGEST = 64
"""Most blocks of coordinates that answers are put together from."""


def hypotheses() -> Iterator[Hypothesis]:
    """Yield hypotheses about batches of points and of atoms."""
    yield from _mixed_up()
    yield from _arguments_mixed_up()
    yield from _blocks()
    yield from _layouts()
    for size in SIZES:
        for words, predict in (
            (f"with the last mini-batch of {size} atoms weighing as much as a full one", _last_in_full(size)),
            (f"averaged over mini-batches of {size} atoms", _averaged(size, by_evidence=False)),
            (f"averaged over mini-batches of {size} atoms by their probabilities", _averaged(size, by_evidence=True)),
        ):
            yield Explanation(Fault.MINIBATCH, f"equals the truth {words}"), predict


def _blocks() -> Iterator[Hypothesis]:
    for count in (0, 2, 3, 4, 8, 16):
        words = f"each of {count} channels" if count else "each coordinate"
        sentence = f"equals the truth with posterior weights of its own for {words}"
        yield Explanation(Fault.WRONG_AXIS, sentence), _each_block(count)


def _each_block(count: int) -> Predict:
    """Return the answers for ``count`` blocks of coordinates alone, put together; 0: for each coordinate."""

    def predicted(exhibit: Exhibit) -> Array | None:
        i, role = exhibit.inputs, exhibit.claim.role
        blocks = count or i.dimension
        if not isinstance(i.law, DiracMixture) or i.handed_eps is not None or i.handed_head is not None:
            raise NotTriedError
        if role not in ("score", "posterior_mean", "fisher_vector_product", "fisher_trace") or i.dimension % blocks:
            raise NotTriedError
        if blocks > LARGEST:
            raise NotTriedError
        answers = []
        for part in np.split(np.arange(i.dimension), blocks):
            law = dataclasses.replace(i.law, atoms=i.law.atoms[:, part])
            points: dict[str, Any] = {name: getattr(i, name)[:, part] for name in ("x", "v", "x0")}
            answers.append(exhibit.claim.truth(dataclasses.replace(i, law=law, **points)))
        return np.sum(answers, axis=0) if role == "fisher_trace" else np.concatenate(answers, axis=1)

    return predicted


def _layouts() -> Iterator[Hypothesis]:
    for channels in (1, 2, 3, 4, 8, 16):
        for order in ((0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
            for words, before, after in (("v", True, False), ("the answer", False, True), ("both", True, True)):
                sentence = f"equals the truth with the axes of {words} in the order {order}, of {channels} channels"
                yield Explanation(Fault.TRANSPOSED, sentence), _permuted(channels, order, before, after)


def _permuted(channels: int, order: tuple[int, ...], before: bool, after: bool) -> Predict:
    def predicted(exhibit: Exhibit) -> Array:
        i, d = exhibit.inputs, exhibit.problem.dimension
        side = round((d / channels) ** 0.5)
        if exhibit.claim.answer != "point" or channels * side**2 != d or side == 1:
            raise NotTriedError
        moved = np.arange(d).reshape(channels, side, side).transpose(order).ravel()
        answer = exhibit.truth.answer
        if before:
            answer = exhibit.claim.truth(dataclasses.replace(i, v=i.v[:, moved]))
        return answer[:, np.argsort(moved)] if after else answer

    return predicted


def _mixed_up() -> Iterator[Hypothesis]:
    def rearranged(change: Callable[[Array], Array]) -> Callable[[Exhibit], Array | None]:
        return lambda exhibit: change(exhibit.truth.answer) if len(exhibit.answer) > 1 else None

    changes: list[tuple[str, Callable[[Array], Array]]] = [
        ("is the sum over the batch", lambda a: np.broadcast_to(a.sum(axis=0), a.shape)),
        ("is the mean over the batch", lambda a: np.broadcast_to(a.mean(axis=0), a.shape)),
        ("is the largest of the batch", lambda a: np.broadcast_to(a.max(axis=0), a.shape)),
        ("is that of the first point for all", lambda a: np.broadcast_to(a[0], a.shape)),
        ("is that of the last point for all", lambda a: np.broadcast_to(a[-1], a.shape)),
        ("is in the reverse order of the batch", lambda a: a[::-1]),
        ("is that of the next point of the batch", lambda a: np.roll(a, -1, axis=0)),
        ("is that of the previous point of the batch", lambda a: np.roll(a, 1, axis=0)),
    ]
    for words, change in changes:
        yield Explanation(Fault.BATCH, words), rearranged(change)


_MIXTURES: tuple[tuple[str, Callable[[Array], Array]], ...] = (
    ("of the first point for all", lambda a: np.broadcast_to(a[:1], a.shape)),
    ("of the last point for all", lambda a: np.broadcast_to(a[-1:], a.shape)),
    ("of the batch's mean for each", lambda a: np.broadcast_to(a.mean(axis=0), a.shape)),
    ("less the batch's mean", lambda a: a - a.mean(axis=0)),
    ("of the batch's sum for each", lambda a: np.broadcast_to(a.sum(axis=0), a.shape)),
    ("in reverse order", lambda a: a[::-1]),
    ("of the next point", lambda a: np.roll(a, -1, axis=0)),
    ("of the previous point", lambda a: np.roll(a, 1, axis=0)),
    ("sorted by norm", lambda a: a[np.argsort((a.reshape(len(a), -1) ** 2).sum(axis=1))]),
    ("sorted", lambda a: np.sort(a, axis=0)),
    ("standardised over the batch", lambda a: (a - a.mean(axis=0)) / a.std(axis=0)),
)


def _arguments_mixed_up() -> Iterator[Hypothesis]:
    names = {"x": "x", "v": "v", "x0": "x₀", "handed_eps": "ε", "handed_head": "the head"}
    for field, name in names.items():
        for words, change in _MIXTURES:
            yield Explanation(Fault.BATCH, f"equals the truth with {name} {words}"), _with_argument(field, change)
    for words, inner in (("x₀", "x0"), ("ȳ", "predicted_mean")):
        sentence = f"equals the truth with ⟨{words}, v⟩ summed over the batch"
        yield Explanation(Fault.BATCH, sentence), _inner_products_summed((inner,))
    sentence = "equals the truth with the inner products with v summed over the batch"
    yield Explanation(Fault.BATCH, sentence), _inner_products_summed(("x0", "predicted_mean"))
    for words, reduce in (("summed", np.sum), ("averaged", np.mean)):
        yield Explanation(Fault.BATCH, f"equals the truth with ‖ȳ‖² {words} over the batch"), _norms_of_batch(reduce)


def _with_argument(field: str, change: Callable[[Array], Array]) -> Predict:
    def predicted(exhibit: Exhibit) -> Array | None:
        value = getattr(exhibit.inputs, field)
        if value is None or (field == "x" and exhibit.inputs.handed_eps is not None):
            raise NotTriedError
        if len(value) == 1:
            return None
        changed: dict[str, Any] = {field: change(value)}
        return exhibit.claim.truth(dataclasses.replace(exhibit.inputs, **changed))

    return predicted


def _inner_products_summed(names: tuple[str, ...]) -> Predict:
    def predicted(exhibit: Exhibit) -> Array:
        if not exhibit.claim.role.endswith("endpoint"):
            raise NotTriedError
        i, answer = exhibit.inputs, exhibit.truth.answer
        for name, sign in (("x0", -1), ("predicted_mean", 1)):
            if name in names:
                m = getattr(i, name)
                inner = (m * i.v).sum(axis=1)
                answer = answer + sign * per_point((i.alpha / i.sigma**2) ** 2 * (inner.sum() - inner), m)
        return np.asarray(answer)

    return predicted


def _norms_of_batch(reduce: Callable[[Array], Array]) -> Predict:
    def predicted(exhibit: Exhibit) -> Array:
        i = exhibit.inputs
        if not exhibit.claim.role.endswith("matching"):
            raise NotTriedError
        squares = (i.predicted_mean**2).sum(axis=1)
        return exhibit.truth.answer + (i.alpha / i.sigma**2) ** 2 * (reduce(squares) - squares)

    return predicted


def _last_in_full(size: int) -> Predict:
    def predicted(exhibit: Exhibit) -> Array | None:
        i, count = exhibit.inputs, exhibit.problem.atoms
        if not isinstance(i.law, DiracMixture) or i.law.weights is None or count % size == 0:
            return None
        batches = -(-count // size)
        last = count - (batches - 1) * size
        weights = np.full(count, 1 / (batches * size))
        weights[-last:] = 1 / (batches * last)
        prior = i.law.weights * weights
        law = dataclasses.replace(i.law, weights=prior / prior.sum())
        return exhibit.claim.truth(dataclasses.replace(i, law=law))

    return predicted


def _averaged(size: int, *, by_evidence: bool) -> Predict:
    """Return the truths for mini-batches alone, averaged: what lies between their means is lost."""

    def predicted(exhibit: Exhibit) -> Array | None:
        i, count = exhibit.inputs, exhibit.problem.atoms
        if not isinstance(i.law, DiracMixture) or i.law.weights is None or count <= size:
            return None
        answers, logs = [], []
        for begin in range(0, count, size):
            prior = i.law.weights[begin : begin + size]
            law = DiracMixture(i.law.atoms[begin : begin + size], prior / prior.sum())
            answers.append(exhibit.claim.truth(dataclasses.replace(i, law=law)))
            logs.append(np.log(prior.sum()) + law.log_density(i.x, i.alpha, i.sigma))
        evidence = np.exp(np.stack(logs) - np.max(logs, axis=0)) if by_evidence else np.ones((len(logs), len(i.x)))
        evidence = evidence / evidence.sum(axis=0)
        return np.asarray(sum(per_point(p, answer) for p, answer in zip(evidence, answers, strict=True)))

    return predicted
