"""Answers mixed up within their batch, and mini-batches of atoms put together wrongly."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from afi_properties.claims.mistakes import per_point
from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.diagnosis.explanation import Explanation, Fault
from afi_properties.diagnosis.hypotheses.hypothesis import Hypothesis, Predict
from afi_properties.problem import Array
from afi_reference.dirac import DiracMixture

SIZES = (2, 3, 4, 5, 8, 10, 16, 32, 50, 64, 100, 128, 250, 256, 500, 512, 1000, 1024)
"""Of mini-batches."""


def hypotheses() -> Iterator[Hypothesis]:
    """Yield hypotheses about batches of points and of atoms."""
    yield from _mixed_up()
    for size in SIZES:
        for words, predict in (
            (f"with the last mini-batch of {size} atoms weighing as much as a full one", _last_in_full(size)),
            (f"averaged over mini-batches of {size} atoms", _averaged(size, by_evidence=False)),
            (f"averaged over mini-batches of {size} atoms by their probabilities", _averaged(size, by_evidence=True)),
        ):
            yield Explanation(Fault.MINIBATCH, f"equals the truth {words}"), predict


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

    def diagonal(exhibit: Exhibit) -> Array | None:
        answer = exhibit.truth.answer
        return answer * np.eye(answer.shape[1]) if answer.ndim == 3 and answer.shape[1] > 1 else None

    yield Explanation(Fault.DIAGONAL, "is the truth's diagonal alone"), diagonal


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
