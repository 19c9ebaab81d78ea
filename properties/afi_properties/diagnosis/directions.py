"""Which way answers deviate from the truth: along one of its terms, if that term alone is wrong."""

from collections.abc import Sequence

import numpy as np

from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.diagnosis.explanation import Explanation, Fault
from afi_properties.diagnosis.terms import extra_terms_of, terms_of
from afi_properties.judgement import norms
from afi_properties.problem import Array

FEWEST = 6
"""Wrong points in three dimensions or more that a direction must be shared by."""

_ALONG = 1e-4
"""Share of a deviation that may point elsewhere."""


def find_direction(exhibits: Sequence[Exhibit]) -> Explanation | None:
    """Return the term of the truth of which all answers have too much or too little; ``None`` if there is none."""
    if exhibits[0].claim.answer == "scalar":
        return None
    telling = [e for e in exhibits if e.wrong.any() and e.problem.dimension >= 3]
    if sum(int(e.wrong.sum()) for e in telling) < FEWEST:
        return None
    names = [[t.name for t in (*terms_of(e), *extra_terms_of(e))] for e in telling]
    for name in [n for n in names[0] if all(n in others for others in names)]:
        if all(_is_along(e, name) for e in telling):
            words = f"differs from the truth by a multiple of {name}, another one for each point"
            return Explanation(Fault.CONSTANT, words)
    return None


def _is_along(exhibit: Exhibit, name: str) -> bool:
    value = next(t.value for t in (*terms_of(exhibit), *extra_terms_of(exhibit)) if t.name == name)
    deviation = np.asarray(exhibit.answer - exhibit.truth.answer)
    left = norms(deviation - _projection(deviation, value))
    with np.errstate(all="ignore"):
        bound = np.maximum(_ALONG * norms(deviation), exhibit.rounding(exhibit.answer))
    return bool((left <= bound)[exhibit.wrong].all())


def _projection(deviation: Array, onto: Array) -> Array:
    flat, direction = (a.reshape(len(a), -1) for a in (deviation, onto))
    with np.errstate(all="ignore"):
        shares = (flat * direction).sum(axis=1) / (direction * direction).sum(axis=1)
    return (np.nan_to_num(shares)[:, None] * direction).reshape(deviation.shape)
