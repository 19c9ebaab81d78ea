"""How far off a law's answers are, in multiples of the attainable."""

import dataclasses
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from afi_verify.bench.accuracy.family import (
    MATRICES,
    UNIT_ROUNDOFF,
    Answers,
    Array,
    Family,
    Parameters,
    Points,
    RandomRounder,
    Size,
    answers_of,
    compared,
    norms,
)
from afi_verify.bench.accuracy.truths.balls import Truth, quantities

VARIANTS = {"": (1.0, 0.0), "offset 100": (1.0, 100.0), "scale 1000": (1000.0, 0.0)}
"""Scale and offset of the data."""

SMALLEST_CHANGE = 2.0**-46
LARGEST_LINEAR = 2.0**-10
"""See ``afi_properties.judgement``."""

SMALLEST = float(np.finfo(np.float64).tiny)


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One quantity at one point."""

    family: str
    quantity: str
    size: str
    dimension: int
    log_snr: float
    variant: str
    place: str
    multiple: float  # infinite where the answer is not a number
    relative_error: float
    attainable: float  # relative, too


def noise_at(log_snr: float) -> tuple[float, float]:
    """Return alpha and sigma with ``alpha^2 + sigma^2 = 1``."""
    return float((1 + np.exp(-log_snr)) ** -0.5), float((1 + np.exp(log_snr)) ** -0.5)


def draw_problem(
    family: Family, size: Size, log_snr: float, variant: str, seed: int
) -> tuple[dict[str, Array], Points, np.random.Generator]:
    """Return parameters, points and what is left of the random numbers. Each problem has random numbers of its own."""
    key = f"{family.name} {size} {log_snr} {variant}"
    rng = np.random.default_rng([seed, zlib.crc32(key.encode())])
    parameters = family.moved(family.draw(rng, size), *VARIANTS[variant])
    alpha, sigma = noise_at(log_snr)
    places = family.places(rng, parameters, alpha, sigma)
    x = np.stack([np.asarray(place, dtype=np.float64) for place in places.values()])
    v = rng.standard_normal(x.shape)
    return parameters, Points(x, v, np.asarray(alpha), np.asarray(sigma), tuple(places)), rng


def measure(family: Family, size: Size, log_snr: float, variant: str, seed: int) -> list[Measurement]:
    """Measure every quantity of a family at the places of one problem."""
    parameters, points, rng = draw_problem(family, size, log_snr, variant, seed)
    names = compared(family, size)
    truth = family.truth(parameters, points, any(name in MATRICES for name in names))
    truth = {name: truth[name] for name in names}
    spread = family.spread(parameters, points, truth, rng)
    answers = answers_of(family.law(parameters), names, points)
    found = []
    for name in names:
        size_of_truth = norms(truth[name])
        attainable = spread[name] + UNIT_ROUNDOFF * size_of_truth + SMALLEST
        with np.errstate(invalid="ignore", over="ignore"):
            errors = norms(answers[name].astype(np.longdouble) - truth[name])
        multiples = np.where(np.isnan(errors), np.inf, errors / attainable)
        scale = np.maximum(size_of_truth, SMALLEST)
        for i, place in enumerate(points.places):
            found.append(
                Measurement(
                    family.name,
                    name,
                    str(size),
                    size.dimension,
                    log_snr,
                    variant,
                    place,
                    float(multiples[i]),
                    float(errors[i] / scale[i]),
                    float(attainable[i] / scale[i]),
                )
            )
    return found


def true_answers(truth: Truth) -> Callable[[Parameters, Points, bool], Answers]:
    """Return the truth of a family by that of one point."""

    def answers(parameters: Parameters, points: Points, matrices: bool) -> Answers:
        rows = [
            quantities(
                truth, {**parameters, "x": x, "v": v, "alpha": points.alpha, "sigma": points.sigma}, matrices=matrices
            )
            for x, v in zip(points.x, points.v, strict=True)
        ]
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    return answers


def roundings_at(dimension: int) -> int:
    """Return how often inputs are rounded: the largest deviation of few numbers may be small by chance."""
    return 8 if dimension <= 16 else 3


def spread_of_truth(truth: Truth) -> Callable[[Parameters, Points, Answers, np.random.Generator], Answers]:
    """Return the spread of a truth when its inputs, and they alone, are rounded."""
    answers = true_answers(truth)

    def spread(parameters: Parameters, points: Points, right: Answers, rng: np.random.Generator) -> Answers:
        rounder = RandomRounder(rng)
        wide, wide_points = widened(parameters), widened_points(points)
        largest = {name: np.zeros(len(points.x)) for name in right}
        for _ in range(roundings_at(points.x.shape[1])):
            changed = {name: rounder(value) for name, value in wide.items()}
            moved = answers(changed, wide_points.rounded(rounder), MATRICES[0] in right)
            largest = {name: np.maximum(largest[name], norms(moved[name] - right[name])) for name in right}
        return largest

    return spread


def spread_of_law(
    law: Callable[[Parameters, RandomRounder | None], Any],
    arguments: Callable[[Parameters], Parameters] = lambda parameters: parameters,
) -> Callable[[Parameters, Points, Answers, np.random.Generator], Answers]:
    """Return the spread of a law whose intermediate results are rounded, too.

    As in a verdict, the effect of float64's rounding is found in float64 from changes 128 times larger, where it is
    proportional to them; in longdouble where it is not.

    Parameters
    ----------
    law
        From what is handed over, and a rounder for what is rounded on the way, to the law.
    arguments
        From the family's parameters to what is handed over.
    """

    def deviations(
        handed: Parameters, points: Points, names: tuple[str, ...], rng: np.random.Generator, unit: float
    ) -> tuple[Answers, Answers]:
        rounder = RandomRounder(rng, unit)
        base = answers_of(law(handed, None), names, points)
        largest = {name: np.zeros(len(points.x)) for name in names}
        for _ in range(roundings_at(points.x.shape[1])):
            changed = {
                name: rounder.symmetric(value) if name == "covariances" and value.ndim == 3 else rounder(value)
                for name, value in handed.items()
            }
            moved = answers_of(law(changed, rounder), names, points.rounded(rounder))
            largest = {name: np.maximum(largest[name], norms(moved[name] - base[name])) for name in names}
        return base, {name: value * (UNIT_ROUNDOFF / unit) for name, value in largest.items()}

    def spread(parameters: Parameters, points: Points, right: Answers, rng: np.random.Generator) -> Answers:
        handed, names = arguments(parameters), tuple(right)
        base, found = deviations(handed, points, names, rng, SMALLEST_CHANGE)
        small = LARGEST_LINEAR * UNIT_ROUNDOFF / SMALLEST_CHANGE

        def is_linear(name: str) -> bool:
            # Where even the unchanged numbers give something else, changes of that say nothing about the truth.
            largest = np.maximum(found[name], norms(base[name] - right[name]))
            return bool((largest <= small * norms(right[name])).all())

        curved = tuple(name for name in names if not is_linear(name))
        if curved:
            found = {**found, **deviations(widened(handed), widened_points(points), curved, rng, UNIT_ROUNDOFF)[1]}
        return found

    return spread


def widened(parameters: Parameters) -> dict[str, Array]:
    """Return the parameters in longdouble, which holds a random rounding of a float64."""
    return {name: np.asarray(value, dtype=np.longdouble) for name, value in parameters.items()}


def widened_points(points: Points) -> Points:
    """Return the points in longdouble."""
    numbers: dict[str, Any] = {
        name: np.asarray(getattr(points, name), dtype=np.longdouble) for name in ("x", "v", "alpha", "sigma")
    }
    return dataclasses.replace(points, **numbers)


class HasMultiple(Protocol):
    """What can be compared by its multiple."""

    @property
    def multiple(self) -> float:
        """The error in multiples of what is allowed."""
        ...


One = TypeVar("One", bound=HasMultiple)


def worst(found: Sequence[One], *by: str) -> Mapping[tuple[Any, ...], One]:
    """Return the one of the largest multiple in each group."""
    groups: dict[tuple[Any, ...], One] = {}
    for one in found:
        key = tuple(getattr(one, name) for name in by)
        if key not in groups or one.multiple > groups[key].multiple:
            groups[key] = one
    return groups
