"""Right formulas of wrong inputs: another noise level, other weights, another prediction."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.diagnosis.explanation import Explanation, Fault
from afi_properties.inputs import Inputs
from afi_properties.problem import Array
from afi_reference.dirac import DiracMixture
from afi_reference.gaussian import GaussianMixture

Hypothesis: TypeAlias = tuple[Explanation, Callable[[Exhibit], Array | None]]
"""An explanation, and the answer (B, ...) that it predicts; ``None`` where it predicts the truth."""

_SMALL = tuple(10.0**-k for k in range(1, 17))


def changed_inputs() -> Iterator[Hypothesis]:
    """Yield hypotheses about inputs that were mistaken for others, the likeliest first."""
    yield from _noise_levels()
    yield from _predictions()
    yield from _mixture_weights()
    yield from _posterior_weights()
    yield from _small_numbers()


def _noise_levels() -> Iterator[Hypothesis]:
    changes: list[tuple[Fault, str, Callable[[Inputs], tuple[Array, Array]]]] = [
        (Fault.ALPHA_BAR, "with α² where α belongs", lambda i: (i.alpha**2, i.sigma)),
        (Fault.ALPHA_BAR, "with √α where α belongs", lambda i: (np.sqrt(i.alpha), i.sigma)),
        (Fault.ALPHA_BAR, "with α² where α belongs, σ = √(1−α⁴)", lambda i: (i.alpha**2, _root(1 - i.alpha**4))),
        (Fault.ALPHA_BAR, "with √α where α belongs, σ = √(1−α)", lambda i: (np.sqrt(i.alpha), _root(1 - i.alpha))),
        (Fault.ALPHA_BAR, "with σ = √(1−α⁴)", lambda i: (i.alpha, _root(1 - i.alpha**4))),
        (Fault.ALPHA_BAR, "with σ² = 1−α", lambda i: (i.alpha, _root(1 - i.alpha))),
        (Fault.POWER_OF_SIGMA, "with σ² where σ belongs", lambda i: (i.alpha, i.sigma**2)),
        (Fault.POWER_OF_SIGMA, "with √σ where σ belongs", lambda i: (i.alpha, np.sqrt(i.sigma))),
        (Fault.SCHEDULE, "with σ = √(1−α²), whatever the schedule", lambda i: (i.alpha, _root(1 - i.alpha**2))),
        (Fault.SCHEDULE, "with α = √(1−σ²), whatever the schedule", lambda i: (_root(1 - i.sigma**2), i.sigma)),
        (Fault.SCHEDULE, "with α = 1−σ, whatever the schedule", lambda i: (np.abs(1 - i.sigma), i.sigma)),
        (Fault.SCHEDULE, "with σ = 1−α, whatever the schedule", lambda i: (i.alpha, np.abs(1 - i.alpha))),
        (Fault.POWER_OF_ALPHA, "with 1 where α belongs", lambda i: (np.ones_like(i.alpha), i.sigma)),
        (Fault.POWER_OF_SIGMA, "with 1 where σ belongs", lambda i: (i.alpha, np.ones_like(i.sigma))),
        (Fault.SCHEDULE, "with α and σ exchanged", lambda i: (i.sigma, i.alpha)),
        (Fault.BATCH_NOISE, "with the first point's noise level for all", lambda i: _all(i, lambda a: a[0])),
        (Fault.BATCH_NOISE, "with the last point's noise level for all", lambda i: _all(i, lambda a: a[-1])),
        (Fault.BATCH_NOISE, "with the batch's mean noise level for all", lambda i: _all(i, np.mean)),
        (Fault.BATCH_NOISE, "with the batch's largest noise level for all", lambda i: _all(i, np.max)),
        (Fault.BATCH_NOISE, "with the batch's first σ for all", lambda i: (i.alpha, _all(i, lambda a: a[0])[1])),
        (Fault.BATCH_NOISE, "with the batch's mean σ for all", lambda i: (i.alpha, _all(i, np.mean)[1])),
        (Fault.BATCH, "with the noise levels of the batch in reverse", lambda i: (i.alpha[::-1], i.sigma[::-1])),
    ]
    for fault, words, change in changes:
        yield Explanation(fault, f"equals the truth {words}"), _with_levels(change)
    for steps in (1, -1):
        for step in (1.0, 1e-3, 1 / 999, 1e-2):
            sentence = f"equals the truth {'after' if steps > 0 else 'before'} a time step of {step:.4g}"
            yield Explanation(Fault.TIMESTEP, sentence), _with_time(steps * step)


def _predictions() -> Iterator[Hypothesis]:
    def taking_eps_for(mean: Callable[[Inputs, Array], Array]) -> Callable[[Exhibit], Array | None]:
        def predicted(exhibit: Exhibit) -> Array | None:
            i = exhibit.inputs
            if i.handed_eps is None:
                return None
            wrong = mean(i, i.handed_eps)
            eps = (i.x - i.alpha[:, None] * wrong) / i.sigma[:, None]
            return exhibit.claim.truth(dataclasses.replace(i, handed_eps=eps))

        return predicted

    taken: list[tuple[str, Callable[[Inputs, Array], Array]]] = [
        ("ε taken for the prediction of x₀", lambda i, eps: eps),
        ("ε taken for v", lambda i, eps: i.alpha[:, None] * i.x - i.sigma[:, None] * eps),
        ("ε taken for the score", lambda i, eps: (i.x + i.sigma[:, None] ** 2 * eps) / i.alpha[:, None]),
        ("ε taken for −ε", lambda i, eps: (i.x + i.sigma[:, None] * eps) / i.alpha[:, None]),
        ("ȳ = x − σε, not divided by α", lambda i, eps: i.x - i.sigma[:, None] * eps),
        ("ȳ = (x − ε)/α", lambda i, eps: (i.x - eps) / i.alpha[:, None]),
        ("ȳ = (x − σ²ε)/α", lambda i, eps: (i.x - i.sigma[:, None] ** 2 * eps) / i.alpha[:, None]),
        ("ȳ = x/α − σε", lambda i, eps: i.x / i.alpha[:, None] - i.sigma[:, None] * eps),
        ("ȳ = (x − σε)/α²", lambda i, eps: (i.x - i.sigma[:, None] * eps) / i.alpha[:, None] ** 2),
        ("x for ȳ", lambda i, eps: i.x),
    ]
    for words, mean in taken:
        yield Explanation(Fault.PREDICTION_TYPE, f"equals the truth with {words}"), taking_eps_for(mean)

    def other(quantity: Callable[[Inputs], Array]) -> Callable[[Exhibit], Array | None]:
        return lambda exhibit: quantity(exhibit.inputs) if exhibit.claim.answer == "point" else None

    quantities: list[tuple[str, Callable[[Inputs], Array]]] = [
        ("ε", lambda i: i.eps),
        ("−ε", lambda i: -i.eps),
        ("the posterior mean", lambda i: i.law.posterior_mean(i.x, i.alpha, i.sigma)),
        ("the score", lambda i: i.law.score(i.x, i.alpha, i.sigma)),
        ("α times the posterior mean", lambda i: i.x - i.sigma[:, None] * i.eps),
        ("v = αε − σȳ", lambda i: i.alpha[:, None] * i.eps - i.sigma[:, None] * i.predicted_mean),
        ("the flow's velocity ε − ȳ", lambda i: i.eps - i.predicted_mean),
        ("x", lambda i: i.x),
    ]
    for words, quantity in quantities:
        yield Explanation(Fault.PREDICTION_TYPE, f"equals {words}"), other(quantity)


def _mixture_weights() -> Iterator[Hypothesis]:
    def of_mixtures(change: Callable[[Inputs], Inputs]) -> Callable[[Exhibit], Array | None]:
        def predicted(exhibit: Exhibit) -> Array | None:
            if isinstance(exhibit.inputs.law, DiracMixture):
                return None
            return _each(exhibit, change)

        return predicted

    def covariances(change: Callable[[Array], Array]) -> Callable[[Inputs], Inputs]:
        def changed(i: Inputs) -> Inputs:
            assert isinstance(i.law, GaussianMixture)
            return dataclasses.replace(i, law=dataclasses.replace(i.law, covariances=change(i.law.covariances)))

        return changed

    def without_determinant(power: float) -> Callable[[Inputs], Inputs]:
        def changed(i: Inputs) -> Inputs:
            assert isinstance(i.law, GaussianMixture)
            assert i.law.weights is not None
            diffused = i.alpha[0] ** 2 * i.law.covariances + i.sigma[0] ** 2 * np.eye(i.dimension)
            logs = np.linalg.slogdet(diffused.astype(np.float64))[1]
            weights = i.law.weights * np.exp(power * (logs - logs.max()))
            return dataclasses.replace(i, law=dataclasses.replace(i.law, weights=weights / weights.sum()))

        return changed

    yield (
        Explanation(Fault.LOG_DETERMINANT, "equals the truth without the log-determinants in the weights"),
        of_mixtures(without_determinant(0.5)),
    )
    yield (
        Explanation(Fault.LOG_DETERMINANT, "equals the truth with the log-determinants doubled in the weights"),
        of_mixtures(without_determinant(-0.5)),
    )
    yield (
        Explanation(Fault.LOG_DETERMINANT, "equals the truth with the sign of the log-determinants changed"),
        of_mixtures(without_determinant(1.0)),
    )
    changes: list[tuple[str, Callable[[Array], Array]]] = [
        ("without the components' covariances", np.zeros_like),
        ("with the diagonals of the components' covariances alone", lambda c: c * np.eye(c.shape[-1])),
        ("with the components' mean covariance for each", lambda c: np.broadcast_to(c.mean(axis=0), c.shape).copy()),
        ("with the first component's covariance for each", lambda c: np.broadcast_to(c[0], c.shape).copy()),
        ("with isotropic covariances", lambda c: np.stack([np.trace(m) / len(m) * np.eye(len(m)) for m in c])),
    ]
    for words, change in changes:
        yield Explanation(Fault.COVARIANCES, f"equals the truth {words}"), of_mixtures(covariances(change))


def _posterior_weights() -> Iterator[Hypothesis]:
    def distances(change: Callable[[Array, Inputs], Array]) -> Callable[[Exhibit], Array | None]:
        def changed(i: Inputs) -> Inputs:
            return dataclasses.replace(i, law=dataclasses.replace(i.law, round_distances=lambda d: change(d, i)))

        return lambda exhibit: _each(exhibit, changed)

    def prior(change: Callable[[Array], Array]) -> Callable[[Exhibit], Array | None]:
        def changed(i: Inputs) -> Inputs:
            assert i.law.weights is not None
            weights = change(i.law.weights)
            return dataclasses.replace(i, law=dataclasses.replace(i.law, weights=weights / weights.sum()))

        return lambda exhibit: _each(exhibit, changed)

    yield Explanation(Fault.WEIGHTS_IGNORED, "equals the answer for uniform prior weights"), prior(np.ones_like)
    yield (
        Explanation(Fault.WEIGHTS_IGNORED, "equals the answer with the prior weights for the posterior's"),
        distances(lambda d, i: np.zeros_like(d)),
    )
    yield Explanation(Fault.WEIGHTS_WRONG, "equals the truth with the prior weights squared"), prior(np.square)
    yield Explanation(Fault.WEIGHTS_WRONG, "equals the truth with the roots of the prior weights"), prior(np.sqrt)
    changes: list[tuple[str, Callable[[Array, Inputs], Array]]] = [
        ("without the 1/2 in the exponents", lambda d, i: 2 * d),
        ("with 1/4 for the 1/2 in the exponents", lambda d, i: d / 2),
        ("with σ for σ² in the exponents", lambda d, i: d * i.sigma[0]),
        ("with 1 for σ² in the exponents", lambda d, i: d * i.sigma[0] ** 2),
        ("with σ⁴ for σ² in the exponents", lambda d, i: d / i.sigma[0] ** 2),
        ("with distances that are not squared", lambda d, i: np.sqrt(d)),
        ("with mean squared distances for their sums", lambda d, i: d / i.dimension),
        ("with α for α² in the weights", lambda d, i: d * i.alpha[0]),
    ]
    for words, change in changes:
        yield Explanation(Fault.WEIGHTS_WRONG, f"equals the truth {words}"), distances(change)
    yield (
        Explanation(Fault.TRUNCATED, "equals the answer for the nearest atom alone"),
        distances(lambda d, i: np.where(d == d.min(), d, np.inf)),
    )
    for count in (2, 3, 4, 5, 6, 8, 10, 16, 20, 32, 50, 64, 100, 128, 200, 256, 500, 512, 1000, 1024):
        sentence = f"equals the answer for the {count} nearest atoms alone"
        yield Explanation(Fault.TRUNCATED, sentence), distances(_nearest_of(count))
    for bound in (5, 10, 20, 30, 40, 50, 60, 64, 70, 80, 88, 100, 500, 700):
        sentence = f"equals the truth with exponents clipped at −{bound}"
        yield (
            Explanation(Fault.CLIPPED, sentence),
            distances(_clipped_at(bound)),
        )


def _small_numbers() -> Iterator[Hypothesis]:
    def with_sigma(change: Callable[[Array], Array]) -> Callable[[Exhibit], Array | None]:
        return _with_levels(lambda i: (i.alpha, change(i.sigma)))

    def added(small: float, power: int) -> Callable[[Array], Array]:
        return lambda sigma: (sigma**power + small) ** (1 / power)

    def bounded(small: float, power: int) -> Callable[[Array], Array]:
        return lambda sigma: np.maximum(sigma, small ** (1 / power))

    def alpha_bounded(small: float) -> Callable[[Inputs], tuple[Array, Array]]:
        return lambda i: (np.maximum(i.alpha, small), i.sigma)

    for small in _SMALL:
        for power, name in ((2, "σ²"), (1, "σ"), (4, "σ⁴")):
            words = f"equals the truth with {small:g} added to {name}"
            yield Explanation(Fault.EPSILON, words), with_sigma(added(small, power))
        for bound in (small, 2 * small, 5 * small):
            for power, name in ((1, "σ"), (2, "σ²")):
                words = f"equals the truth with {name} kept above {bound:g}"
                yield Explanation(Fault.CLIPPED, words), with_sigma(bounded(bound, power))
            words = f"equals the truth with α kept above {bound:g}"
            yield Explanation(Fault.CLIPPED, words), _with_levels(alpha_bounded(bound))


def _with_levels(change: Callable[[Inputs], tuple[Array, Array]]) -> Callable[[Exhibit], Array | None]:
    def predicted(exhibit: Exhibit) -> Array | None:
        alpha, sigma = change(exhibit.inputs)
        if not (np.isfinite(alpha).all() and np.isfinite(sigma).all() and (alpha > 0).all() and (sigma > 0).all()):
            return None
        return exhibit.claim.truth(dataclasses.replace(exhibit.inputs, alpha=alpha, sigma=sigma))

    return predicted


def _with_time(step: float) -> Callable[[Exhibit], Array | None]:
    def predicted(exhibit: Exhibit) -> Array | None:
        schedule, times = exhibit.problem.schedule, exhibit.problem.values["t"] + step
        if not ((times > schedule.t_min) & (times < schedule.t_max)).all():
            return None
        dtype = exhibit.inputs.x.dtype
        alpha, sigma = (np.asarray(f(times), dtype=dtype) for f in (schedule.alpha, schedule.sigma))
        return exhibit.claim.truth(dataclasses.replace(exhibit.inputs, alpha=alpha, sigma=sigma))

    return predicted


def _each(exhibit: Exhibit, change: Callable[[Inputs], Inputs]) -> Array:
    """Return the claim's truth for changed inputs, point by point: a change may depend on the noise level."""
    return np.concatenate([exhibit.claim.truth(change(one)) for one in _single(exhibit.inputs)])


def _single(i: Inputs) -> Iterator[Inputs]:
    names = [f.name for f in dataclasses.fields(i) if f.name not in ("law", "skew")]
    for point in range(len(i.x)):
        values: dict[str, Any] = {name: getattr(i, name) for name in names}
        single: dict[str, Any] = {n: None if v is None else v[point : point + 1] for n, v in values.items()}
        yield dataclasses.replace(i, **single)


def _nearest_of(count: int) -> Callable[[Array, Inputs], Array]:
    def nearest(distances: Array, i: Inputs) -> Array:
        if distances.shape[-1] <= count:
            return distances
        kth = np.partition(distances, count - 1, axis=-1)[..., count - 1 : count]
        return np.where(distances <= kth, distances, np.inf)

    return nearest


def _clipped_at(bound: float) -> Callable[[Array, Inputs], Array]:
    return lambda distances, i: np.minimum(distances, 2 * bound * i.sigma[0] ** 2)


def _all(i: Inputs, choose: Callable[[Array], Array]) -> tuple[Array, Array]:
    return np.full_like(i.alpha, choose(i.alpha)), np.full_like(i.sigma, choose(i.sigma))


def _root(values: Array) -> Array:
    return np.sqrt(np.maximum(values, 0))
