"""The families of general data: measured against other formulas in ball arithmetic, inputs rounded at random."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from afi_reference import DiracMixture, GaussianMixture, gaussian
from afi_reference.distribution import Distribution
from afi_reference.families import (
    LowRankGaussianMixture,
    MixtureOfLaws,
    ProductOfLaws,
    UniformBox,
    UniformSegment,
    UniformSphere,
)
from afi_verify.bench.accuracy.family import Array, Family, Kind, Parameters, Size
from afi_verify.bench.accuracy.measure import spread_of_truth, true_answers
from afi_verify.bench.accuracy.truths.balls import Numbers, Posterior, Truth, mixture
from afi_verify.bench.accuracy.truths.gaussian import low_rank_mixture, scalar_mixture
from afi_verify.bench.accuracy.truths.uniform import Line, box, independent, interval, segment, sphere

SIZES = tuple(Size(d) for d in (1, 2, 16, 64, 1024))
FAR = 40.0
"""In units of sigma: unnormalised weights underflow there, and what is far from a peak is tiny."""


def make_family(
    name: str,
    truth: Truth,
    *,
    law: Callable[[Parameters], Distribution],
    kinds: Mapping[str, Kind],
    draw: Callable[[np.random.Generator, Size], dict[str, Array]],
    places: Callable[[np.random.Generator, Parameters, float, float], Mapping[str, Array]],
    sizes: tuple[Size, ...] = SIZES,
) -> Family:
    """Return a family whose truth and spread both come from balls."""
    return Family(name, law, kinds, draw, places, true_answers(truth), spread_of_truth(truth), sizes)


def _box_places(rng: np.random.Generator, p: Parameters, alpha: float, sigma: float) -> dict[str, Array]:
    low, high = p["low"], p["high"]
    d, extent = len(low), high - low
    noise = rng.standard_normal(d)
    inside = alpha * (low + rng.random(d) * extent) + sigma * noise
    outside = alpha * high + 3 * sigma * np.abs(noise)
    far = alpha * low - FAR * sigma
    return {
        "noised": inside,
        "middle": alpha * (low + extent / 2),
        "at the corner": alpha * high,
        "outside": outside,
        "far outside": far,
        "in and out": np.where(np.arange(d) % 3 == 0, inside, np.where(np.arange(d) % 3 == 1, outside, far)),
    }


def _draw_box(rng: np.random.Generator, size: Size) -> dict[str, Array]:
    low = rng.standard_normal(size.dimension)
    return {"low": low, "high": low + 10 ** rng.uniform(-1, 0.5, size.dimension)}


BOX = make_family(
    "box",
    box,
    law=lambda p: UniformBox(p["low"], p["high"]),
    kinds={"low": "place", "high": "place"},
    draw=_draw_box,
    places=_box_places,
)


def _segment_places(rng: np.random.Generator, p: Parameters, alpha: float, sigma: float) -> dict[str, Array]:
    start, end = p["start"], p["end"]
    side, noise = end - start, rng.standard_normal(len(start))
    direction = side / np.linalg.norm(side)
    return {
        "noised": alpha * (start + rng.random() * side) + sigma * noise,
        "middle": alpha * (start + side / 2),
        "at the end": alpha * end,
        "beyond the end": alpha * (end + 0.5 * side) + sigma * noise,
        "far beyond": alpha * start - FAR * sigma * direction,
        "far aside": alpha * (start + 0.3 * side) + FAR * sigma * noise,
    }


SEGMENT = make_family(
    "segment",
    segment,
    law=lambda p: UniformSegment(p["start"], p["end"]),
    kinds={"start": "place", "end": "place"},
    draw=lambda rng, size: dict(zip(("start", "end"), rng.standard_normal((2, size.dimension)), strict=True)),
    places=_segment_places,
)


def _sphere_places(rng: np.random.Generator, p: Parameters, alpha: float, sigma: float) -> dict[str, Array]:
    centre, radius = p["centre"], p["radius"]
    noise, direction = rng.standard_normal((2, len(centre)))
    direction /= np.linalg.norm(direction)
    surface = centre + radius * direction
    return {
        "noised": alpha * surface + sigma * noise,
        "near the centre": alpha * centre + 1e-3 * sigma * direction,
        "halfway": alpha * (centre + radius / 2 * direction),
        "on the surface": alpha * surface,
        "far outside": alpha * surface + FAR * sigma * direction,
    }


SPHERE = make_family(
    "sphere",
    sphere,
    law=lambda p: UniformSphere(p["centre"], p["radius"]),
    kinds={"centre": "place", "radius": "length"},
    draw=lambda rng, size: {
        "centre": rng.standard_normal(size.dimension),
        "radius": np.asarray(rng.uniform(0.5, 2)),
    },
    places=_sphere_places,
)


def _coordinate_laws(p: Parameters) -> list[Distribution]:
    """Uniform, point masses, Gaussian, Gaussian mixture: in turn, so that each is met in few dimensions, too."""
    laws: list[Distribution] = []
    d = len(p["low"])
    for i in range(d):
        locations, variances, weights = (p[name][i] for name in ("locations", "variances", "weights"))
        laws.append(
            (
                lambda i=i: UniformBox(p["low"][[i]], p["high"][[i]]),
                lambda y=locations, w=weights: DiracMixture(y[:, None], w),
                lambda y=locations, s=variances: gaussian(y[:1], s[:1]),
                lambda y=locations, s=variances, w=weights: GaussianMixture(y[:, None], s[:, None], w),
            )[(i + d) % 4]()
        )
    return laws


def _product_truth(n: Numbers) -> Posterior:
    d, alpha, sigma = len(n["x"]), n["alpha"][0], n["sigma"][0]
    lines = []
    for i, x in enumerate(n["x"]):
        locations, variances, weights = (n[name][3 * i : 3 * i + 3] for name in ("locations", "variances", "weights"))
        kind = (i + d) % 4
        if kind == 0:
            lines.append(interval(x, n["low"][i], n["high"][i], alpha, sigma))
            continue
        count = 1 if kind == 2 else 3
        spreads = [0 * s for s in variances] if kind == 1 else variances
        part = scalar_mixture(x, locations[:count], spreads[:count], weights[:count], alpha, sigma)
        lines.append(Line.of(part))
    return independent(lines)


def _product_places(rng: np.random.Generator, p: Parameters, alpha: float, sigma: float) -> dict[str, Array]:
    d = len(p["low"])
    noise, atom = rng.standard_normal(d), p["locations"][:, 0]
    uniform = (np.arange(d) + d) % 4 == 0
    start = np.where(uniform, p["low"], atom)
    return {
        "noised": alpha * start + sigma * noise,
        "between": alpha * np.where(uniform, (p["low"] + p["high"]) / 2, p["locations"][:, :2].mean(axis=1)),
        "far": alpha * start - FAR * sigma,
    }


def _draw_product(rng: np.random.Generator, size: Size) -> dict[str, Array]:
    d = size.dimension
    return {
        **_draw_box(rng, size),
        "locations": rng.standard_normal((d, 3)),
        "variances": 10 ** rng.uniform(-3, 0, (d, 3)),
        "weights": rng.dirichlet(np.ones(3), d),
    }


PRODUCT = make_family(
    "product of laws",
    _product_truth,
    law=lambda p: ProductOfLaws(_coordinate_laws(p)),
    kinds={"low": "place", "high": "place", "locations": "place", "variances": "variance", "weights": "share"},
    draw=_draw_product,
    places=_product_places,
)


def low_rank_places(rng: np.random.Generator, p: Parameters, alpha: float, sigma: float) -> dict[str, Array]:
    """Return points about a mixture of low-rank Gaussians."""
    means, factors, diagonal = p["means"], p["factors"], p["diagonal"]
    d, r = factors.shape[1:]
    noise = rng.standard_normal(d)
    spanned = means[0] + factors[0] @ rng.standard_normal(r)
    reach = np.sqrt((alpha * factors[0]) ** 2 @ np.ones(r) + alpha**2 * diagonal[0] + sigma**2)
    return {
        "noised": alpha * (spanned + np.sqrt(diagonal[0]) * rng.standard_normal(d)) + sigma * noise,
        "in the span": alpha * spanned,
        "near the mean" if len(means) == 1 else "between": alpha * means[:2].mean(axis=0) + 0.1 * sigma * noise,
        "far": alpha * means[0] + FAR * reach * noise,
    }


def _draw_low_rank(components: int, diagonal: bool) -> Callable[[np.random.Generator, Size], dict[str, Array]]:
    def draw(rng: np.random.Generator, size: Size) -> dict[str, Array]:
        d = size.dimension
        return {
            "means": rng.standard_normal((components, d)),
            "factors": rng.standard_normal((components, d, min(d, 4))) * 4.0 ** -np.arange(min(d, 4)),
            "diagonal": 10 ** rng.uniform(-3, 0, (components, d)) if diagonal else np.zeros((components, d)),
            "weights": rng.dirichlet(np.ones(components)),
        }

    return draw


LOW_RANK_KINDS: dict[str, Kind] = {"means": "place", "factors": "length", "diagonal": "variance", "weights": "share"}


def _low_rank(name: str, components: int, *, diagonal: bool) -> Family:
    return make_family(
        name,
        low_rank_mixture,
        law=lambda p: LowRankGaussianMixture(p["means"], p["factors"], p["diagonal"], p["weights"]),
        kinds=LOW_RANK_KINDS,
        draw=_draw_low_rank(components, diagonal),
        places=low_rank_places,
    )


LOW_RANKS = (
    _low_rank("low-rank Gaussian", 1, diagonal=False),
    _low_rank("low-rank plus diagonal Gaussian", 1, diagonal=True),
    _low_rank("low-rank Gaussian mixture", 3, diagonal=True),
)


def _mixture_truth(n: Numbers) -> Posterior:
    return mixture(n["weights"], [box(n), sphere(n), segment(n)])


def _mixture_places(rng: np.random.Generator, p: Parameters, alpha: float, sigma: float) -> dict[str, Array]:
    around_box, around_sphere = _box_places(rng, p, alpha, sigma), _sphere_places(rng, p, alpha, sigma)
    on_segment = alpha * (p["start"] + 0.4 * (p["end"] - p["start"]))
    return {
        "noised from the box": around_box["noised"],
        "noised from the sphere": around_sphere["noised"],
        "on the segment": on_segment,
        "between box and sphere": (around_box["middle"] + around_sphere["on the surface"]) / 2,
        "far": around_box["far outside"],
    }


def _mixture_law(p: Parameters) -> MixtureOfLaws:
    laws: list[Any] = [
        UniformBox(p["low"], p["high"]),
        UniformSphere(p["centre"], p["radius"]),
        UniformSegment(p["start"], p["end"]),
    ]
    return MixtureOfLaws(laws, p["weights"])


MIXTURE = make_family(
    "mixture of box, sphere and segment",
    _mixture_truth,
    law=_mixture_law,
    kinds={**BOX.kinds, **SPHERE.kinds, **SEGMENT.kinds, "weights": "share"},
    draw=lambda rng, size: {
        **BOX.draw(rng, size),
        **SPHERE.draw(rng, size),
        **SEGMENT.draw(rng, size),
        "weights": rng.dirichlet(np.ones(3)),
    },
    places=_mixture_places,
)

GENERAL = (BOX, SEGMENT, SPHERE, PRODUCT, *LOW_RANKS, MIXTURE)
