"""Posterior weights that are wrong: priors, exponents, atoms left out."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.diagnosis.explanation import Explanation, Fault
from afi_properties.diagnosis.hypotheses.hypothesis import Hypothesis, Predict, each_point
from afi_properties.inputs import Inputs
from afi_properties.problem import Array
from afi_reference.dirac import DiracMixture

Distances = Callable[[Array, Inputs], Array]
"""Takes squared distances (..., N), or Mahalanobis ones, to what stands in their place."""

COUNTS = (1, 2, 3, 4, 5, 6, 8, 10, 16, 20, 32, 50, 64, 100, 128, 200, 250, 256, 500, 512, 1000, 1024, 1500)


def hypotheses() -> Iterator[Hypothesis]:
    """Yield hypotheses about priors, exponents and atoms."""
    yield Explanation(Fault.WEIGHTS_IGNORED, "equals the answer for uniform prior weights"), _prior(np.ones_like)
    yield (
        Explanation(Fault.WEIGHTS_IGNORED, "equals the answer with the prior weights for the posterior's"),
        _distances(lambda d, i: np.zeros_like(d)),
    )
    yield Explanation(Fault.WEIGHTS_WRONG, "equals the truth with the prior weights squared"), _prior(np.square)
    yield Explanation(Fault.WEIGHTS_WRONG, "equals the truth with the roots of the prior weights"), _prior(np.sqrt)
    yield (
        Explanation(Fault.WEIGHTS_WRONG, "equals the truth with the prior weights added to the exponents"),
        _prior(np.exp),
    )
    yield (
        Explanation(Fault.WEIGHTS_WRONG, "equals the truth with the prior weights times the distances"),
        _times_distances,
    )
    yield Explanation(Fault.OFFSET, "equals the truth for centred atoms, x as it is"), _centred_atoms
    for words, change in _EXPONENTS:
        yield Explanation(Fault.WEIGHTS_WRONG, f"equals the truth {words}"), _distances(change)
    for count in COUNTS:
        atoms = "atom" if count == 1 else f"{count} atoms"
        yield (
            Explanation(Fault.TRUNCATED, f"equals the answer for the nearest {atoms} alone"),
            _distances(_nearest(count)),
        )
        yield Explanation(Fault.TRUNCATED, f"equals the answer for the first {atoms} alone"), _atoms(_first(count))
        yield Explanation(Fault.TRUNCATED, f"equals the answer without the last {atoms}"), _atoms(_without_last(count))
    for count in COUNTS[1:]:
        words = f"equals the answer without the atoms that do not fill a batch of {count}"
        yield Explanation(Fault.TRUNCATED, words), _atoms(_whole_batches(count))
        words = f"equals the answer for one atom in {count}"
        yield Explanation(Fault.TRUNCATED, words), _atoms(_every(count))
    for bound in (*range(5, 31), 32, 35, 40, 45, 50, 60, 64, 70, 80, 85, 87, 88, 100, 200, 500, 700, 745):
        words = f"equals the truth with exponents clipped at −{bound}"
        yield Explanation(Fault.CLIPPED, words), _distances(_clipped(bound))
        yield Explanation(Fault.CLIPPED, f"{words} below their maximum"), _distances(_clipped_below(bound))


def _distances(change: Distances) -> Predict:
    def changed(i: Inputs) -> Inputs:
        return dataclasses.replace(i, law=dataclasses.replace(i.law, round_distances=lambda d: change(d, i)))

    return lambda exhibit: each_point(exhibit, changed)


def _prior(change: Callable[[Array], Array]) -> Predict:
    def predicted(exhibit: Exhibit) -> Array:
        i = exhibit.inputs
        assert i.law.weights is not None
        weights = change(i.law.weights)
        law = dataclasses.replace(i.law, weights=weights / weights.sum())
        return exhibit.claim.truth(dataclasses.replace(i, law=law))

    return predicted


def _times_distances(exhibit: Exhibit) -> Array | None:
    i = exhibit.inputs
    if not isinstance(i.law, DiracMixture) or i.law.weights is None:
        return None
    weights = i.law.weights
    law = dataclasses.replace(i.law, weights=None, round_distances=lambda d: d * weights)
    return exhibit.claim.truth(dataclasses.replace(i, law=law))


def _centred_atoms(exhibit: Exhibit) -> Array | None:
    i = exhibit.inputs
    if not isinstance(i.law, DiracMixture):
        return None
    centre = i.law.atoms.mean(axis=0)
    answer = exhibit.claim.truth(dataclasses.replace(i, law=dataclasses.replace(i.law, atoms=i.law.atoms - centre)))
    return answer + centre if exhibit.claim.role == "posterior_mean" else answer


def _atoms(choose: Callable[[int], Array]) -> Predict:
    """Return the truth for some of the atoms: those with these indices among N."""

    def predicted(exhibit: Exhibit) -> Array | None:
        i = exhibit.inputs
        kept = choose(exhibit.problem.atoms)
        if not isinstance(i.law, DiracMixture) or i.law.weights is None or len(kept) in (0, exhibit.problem.atoms):
            return None
        weights = i.law.weights[kept]
        law = dataclasses.replace(i.law, atoms=i.law.atoms[kept], weights=weights / weights.sum())
        return exhibit.claim.truth(dataclasses.replace(i, law=law))

    return predicted


def _first(count: int) -> Callable[[int], Array]:
    return lambda atoms: np.arange(min(count, atoms))


def _without_last(count: int) -> Callable[[int], Array]:
    return lambda atoms: np.arange(max(0, atoms - count))


def _whole_batches(count: int) -> Callable[[int], Array]:
    return lambda atoms: np.arange(atoms // count * count)


def _every(count: int) -> Callable[[int], Array]:
    return lambda atoms: np.arange(0, atoms, count)


def _nearest(count: int) -> Distances:
    def nearest(distances: Array, i: Inputs) -> Array:
        if distances.shape[-1] <= count:
            return distances
        kth = np.partition(distances, count - 1, axis=-1)[..., count - 1 : count]
        return np.where(distances <= kth, distances, np.inf)

    return nearest


def _clipped(bound: float) -> Distances:
    return lambda d, i: np.minimum(d, 2 * bound * i.sigma[0] ** 2)


def _clipped_below(bound: float) -> Distances:
    def clipped(distances: Array, i: Inputs) -> Array:
        nearest = distances.min(axis=-1, keepdims=True)
        return nearest + np.minimum(distances - nearest, 2 * bound * i.sigma[0] ** 2)

    return clipped


def _norms(i: Inputs) -> Array:
    assert isinstance(i.law, DiracMixture)
    return np.asarray((i.law.atoms**2).sum(axis=1))


def _without_atoms_norms(d: Array, i: Inputs) -> Array:
    return d if not isinstance(i.law, DiracMixture) else d - i.alpha[0] ** 2 * _norms(i)


def _alpha_for_its_square(d: Array, i: Inputs) -> Array:
    return d if not isinstance(i.law, DiracMixture) else d + (i.alpha[0] - i.alpha[0] ** 2) * _norms(i)


_EXPONENTS: tuple[tuple[str, Distances], ...] = (
    ("without the 1/2 in the exponents", lambda d, i: 2 * d),
    ("with 1/4 for the 1/2 in the exponents", lambda d, i: d / 2),
    ("with σ for σ² in the exponents", lambda d, i: d * i.sigma[0]),
    ("with 1 for σ² in the exponents", lambda d, i: d * i.sigma[0] ** 2),
    ("with σ⁴ for σ² in the exponents", lambda d, i: d / i.sigma[0] ** 2),
    ("with distances that are not squared", lambda d, i: np.sqrt(d)),
    ("with distances that are not squared, over σ", lambda d, i: 2 * np.sqrt(d) * i.sigma[0]),
    ("with squares of squared distances", lambda d, i: d**2),
    ("with mean squared distances for their sums", lambda d, i: d / i.dimension),
    ("without the atoms' norms in the exponents", _without_atoms_norms),
    ("with α for α² before the atoms' norms", _alpha_for_its_square),
    ("with the sign of the exponents changed", lambda d, i: -d),
)
