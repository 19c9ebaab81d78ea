"""Densities given pointwise: whether the error that the oracle states holds, against rigorous integration."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from flint import arb

from afi_reference.families import DensityOracle
from afi_reference.families.law import widened
from afi_verify.bench.accuracy.family import QUANTITIES, Array
from afi_verify.bench.accuracy.measure import noise_at
from afi_verify.bench.accuracy.truths.balls import Numbers, Posterior, Symmetric, quantities
from afi_verify.bench.accuracy.truths.density import Piece, line_of_density
from afi_verify.bench.accuracy.truths.gaussian import scalar_mixture
from afi_verify.bench.accuracy.truths.uniform import Line, independent


@dataclasses.dataclass(frozen=True)
class EstimateCheck:
    """One quantity at one point: the true error of each entry beside the one stated."""

    family: str
    quantity: str
    log_snr: float
    place: str
    multiple: float  # largest ratio of true and stated error over the entries
    relative_error: float  # of norms
    stated: float  # relative, too


@dataclasses.dataclass(frozen=True, eq=False)
class DensityCase:
    """A density as code, and as pieces in balls."""

    log_density: Callable[[Array], Array]
    bounds: Sequence[tuple[float, float]]
    truth: Callable[[Numbers], Posterior]
    places: Mapping[str, tuple[float, ...]]
    """In the data's coordinates, and how many sigma are added to each coordinate."""
    landmarks: Sequence[tuple[float, ...]] | None = None

    @functools.cached_property
    def oracle(self) -> DensityOracle:
        """The subject."""
        landmarks = None if self.landmarks is None else np.array(self.landmarks)
        return DensityOracle(self.log_density, np.array(self.bounds), landmarks)


def check_estimates(name: str, log_snr: float, seed: int) -> list[EstimateCheck]:
    """Compare every quantity of a density with the truth, and its error with the one that the oracle states."""
    case = DENSITIES[name]
    alpha, sigma = noise_at(log_snr)
    d = len(case.bounds)
    v = np.random.default_rng(seed).standard_normal(d)
    found = []
    for place, (*data, away) in case.places.items():
        x = alpha * np.array(data) + away * sigma
        inputs = {"x": x, "v": v, "alpha": np.asarray(alpha), "sigma": np.asarray(sigma)}
        right = quantities(case.truth, inputs)
        posterior = case.oracle._posterior_at(
            *(widened(np.asarray(value)) for value in (x, alpha, sigma))
        )  # for all quantities
        for quantity in QUANTITIES:
            estimate = getattr(posterior, quantity)(*((v,) if quantity == "fisher_vector_product" else ()))
            error = np.abs(estimate.value - right[quantity])
            with np.errstate(invalid="ignore", divide="ignore"):
                ratios = np.where(error == 0, 0, error / estimate.error)
            size = np.linalg.norm(np.ravel(right[quantity]).astype(float)) or 1.0
            found.append(
                EstimateCheck(
                    name,
                    quantity,
                    log_snr,
                    place,
                    float(np.where(np.isnan(ratios), np.inf, ratios).max()),
                    float(np.linalg.norm(np.ravel(error).astype(float)) / size),
                    float(np.linalg.norm(np.ravel(estimate.error)) / size),
                )
            )
    return found


def _line(pieces: Sequence[Piece], n: Numbers, axis: int = 0) -> Line:
    return line_of_density(pieces, n["x"][axis], n["alpha"][0], n["sigma"][0])


WELLS = [Piece(-3.0, 3.0, lambda z: (-4 * (z * z - 1) ** 2).exp())]
KINK = [
    Piece(-2.0, 0.25, lambda z: (3 * (z - 0.25)).exp()),
    Piece(0.25, 4.0, lambda z: (-3 * (z - 0.25)).exp()),
]
RAMP = [Piece(0.0, 1.0, lambda z: z)]
STEPS = [Piece(-1.0, 0.5, lambda z: 0 * z + 1), Piece(0.5, 1.0, lambda z: 0 * z + 3)]


def _log_wells(y: Array) -> Array:
    return np.asarray(-4 * (y * y - 1) ** 2)


def _log_kink(y: Array) -> Array:
    return np.asarray(-3 * np.abs(y - 0.25))


def _log_ramp(points: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(points[:, 0]))


def _rotated_truth(n: Numbers) -> Posterior:
    """Independent along (3, 4) / 5 and across it."""
    frame = [[arb(3) / 5, arb(4) / 5], [arb(-4) / 5, arb(3) / 5]]
    turned = [u * n["x"][0] + w * n["x"][1] for u, w in frame]
    along = line_of_density(WELLS, turned[0], n["alpha"][0], n["sigma"][0])
    narrow = scalar_mixture(turned[1], [arb(0)], [arb(1) / 16], [arb(1)], n["alpha"][0], n["sigma"][0])
    p = independent([along, Line.of(narrow)])
    back = list(zip(*frame, strict=True))

    def vector(entries: Sequence[arb]) -> list[arb]:
        return [a * entries[0] + b * entries[1] for a, b in back]

    def matrix(m: Symmetric) -> Symmetric:
        difference = m.diagonal[0] - m.diagonal[1]
        return Symmetric.rank_one(m.diagonal[1], difference, frame[0])

    return Posterior(p.log_density, vector(p.score), vector(p.mean), matrix(p.covariance), matrix(p.fisher))


DENSITIES = {
    "density: double well": DensityCase(
        lambda p: _log_wells(p[:, 0]),
        [(-3.0, 3.0)],
        lambda n: _line(WELLS, n).posterior(),
        {"noised": (0.9, 0.5), "between the wells": (0.0625, 0.0), "in the tail": (1.6, 0.0), "far": (1.0, 40.0)},
    ),
    "density: kink": DensityCase(
        lambda p: _log_kink(p[:, 0]),
        [(-2.0, 4.0)],
        lambda n: _line(KINK, n).posterior(),
        {"noised": (0.9, 0.5), "at the kink": (0.25, 0.0), "at the bound": (-2.0, 0.0), "far": (4.0, 40.0)},
        [(0.25,)],
    ),
    "density: ramp": DensityCase(
        _log_ramp,
        [(0.0, 1.0)],
        lambda n: _line(RAMP, n).posterior(),
        {"noised": (0.6, -0.5), "where it vanishes": (0.0, 0.0), "at the jump": (1.0, 0.0), "far": (1.0, 40.0)},
    ),
    "density: steps": DensityCase(
        lambda p: np.where(p[:, 0] < 0.5, 0.0, np.log(3.0)),
        [(-1.0, 1.0)],
        lambda n: _line(STEPS, n).posterior(),
        {"noised": (0.0, 0.5), "at the step": (0.5, 0.0), "at the bound": (1.0, 0.0), "far": (-1.0, -40.0)},
    ),
    "density: well times kink": DensityCase(
        lambda p: _log_wells(p[:, 0]) + _log_kink(p[:, 1]),
        [(-3.0, 3.0), (-2.0, 4.0)],
        lambda n: independent([_line(WELLS, n), _line(KINK, n, 1)]),
        {"noised": (0.9, 0.6, 0.5), "between": (0.0625, 0.25, 0.0)},
        [(1.0, 0.25)],
    ),
    "density: rotated well": DensityCase(
        lambda p: _log_wells(0.6 * p[:, 0] + 0.8 * p[:, 1]) - 8 * (0.6 * p[:, 1] - 0.8 * p[:, 0]) ** 2,
        [(-4.0, 4.0), (-4.0, 4.0)],
        _rotated_truth,
        {"noised": (0.8, 0.7, 0.5), "between": (0.0625, 0.125, 0.0)},
    ),
}
