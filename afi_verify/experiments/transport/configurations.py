"""The data, schedules and points of the study."""

import dataclasses

import numpy as np

from afi_properties.problem import Array
from afi_reference.schedules import EDM, RectifiedFlow, Schedule, SubVP, VEGeometric, VPCosine, VPLinear

TRIANGLE = np.array([[0.5, 0.0], [0.0, -0.5], [0.0, 0.0]])
"""The three atoms of the published experiment."""

_ROTATION = np.array([[0.6, 0.8], [0.8, -0.6]])


@dataclasses.dataclass(frozen=True, eq=False)
class Configuration:
    """Atoms (N, d), uniform weights, and whether the structure makes the map optimal."""

    name: str
    atoms: Array
    optimal: bool


def configurations() -> tuple[Configuration, ...]:
    """Return the data that the maps of the study belong to."""
    rng = np.random.default_rng(0)
    line = np.array([-1.0, -0.2, 0.3, 1.1])[:, None]
    cube = np.array([[a, b, c] for a in (-0.6, 0.5) for b in (-0.4, 0.7) for c in (-0.8, 0.3)])
    return (
        Configuration("one dimension, 4 atoms", line, True),
        Configuration("two atoms in the plane", np.array([[0.5, 0.0], [0.0, -0.5]]), True),
        Configuration("collinear, 4 atoms in the plane", line * [[0.6, 0.8]], True),
        Configuration("product, rotated rectangle", _rectangle() @ _ROTATION, True),
        Configuration("product, box in space", cube, True),
        Configuration("three atoms (published)", TRIANGLE, False),
        Configuration("equilateral triangle", _polygon(3), False),
        Configuration("parallelogram", _rectangle() @ np.array([[1.0, 0.0], [0.6, 1.0]]), False),
        Configuration("pairs of pairs", 4 * np.array([[0.0, 0.0], [0.1, 0.1], [1.0, 0.0], [1.1, 0.1]]), False),
        Configuration("5 atoms in space", rng.standard_normal((5, 3)), False),
    )


def schedules() -> dict[str, Schedule]:
    """Return the schedules that must agree."""
    known: tuple[Schedule, ...] = (VPLinear(), VPCosine(), SubVP(), VEGeometric(), EDM(), RectifiedFlow())
    return {schedule.name: schedule for schedule in known}


def times(schedule: Schedule, log_snr: tuple[float, float]) -> tuple[float, float]:
    """Return the times at which ``schedule`` has the two log-SNRs."""
    first, last = (float(schedule.time_of_log_snr(np.float64(level))) for level in log_snr)
    return first, last


def noise_points(atoms: Array, a: float, count: int, seed: int) -> Array:
    """Return ``count`` points ``n = x / sigma`` (count, d) drawn from the diffused atoms at a = alpha / sigma."""
    rng = np.random.default_rng(seed)
    clean = atoms[rng.integers(len(atoms), size=count)]
    return np.asarray(a * clean + rng.standard_normal(clean.shape))


def _rectangle() -> Array:
    return np.array([[-0.5, -0.7], [-0.5, 0.7], [0.5, -0.7], [0.5, 0.7]])


def _polygon(corners: int) -> Array:
    angles = 2 * np.pi * np.arange(corners) / corners
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)
