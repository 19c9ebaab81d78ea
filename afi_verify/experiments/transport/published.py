"""The published experiment: asymmetry of the Jacobian for three atoms, with 20 Euler steps and to convergence.

As the authors' script has it (github.com/zituitui/DiffusionFisher, OT/ot.py, read as a description): starts
``x ~ N(0, I)`` at the most noise; the states go towards data by DDIM, ``A`` by Euler steps of ``A' = B A`` with B as
printed in eq. 22; the steps lie evenly in t. Its index of asymmetry is that of the off-diagonal entries alone,
``|a_12 - a_21| / sqrt(a_12^2 + a_21^2)``: 0 to sqrt(2), and another one after a rotation of the plane.
"""

import dataclasses
import itertools
import math
from typing import Any

import numpy as np

from afi_properties.problem import Array
from afi_reference.schedules import Schedule, StableDiffusion, SubVP
from afi_verify.experiments.transport.configurations import TRIANGLE
from afi_verify.implementations import numpy_transport

PUBLISHED_STEPS = 20
REFINEMENTS = (20, 80, 320, 1280, 5120)
COLLINEAR = np.array([[0.0, 0.0], [0.0, 0.5], [0.0, -0.6]])
"""The collinear atoms of the script."""

_LEAST_NOISE = 1e-3
_TURN = np.array([[0.8, -0.6], [0.6, 0.8]])


@dataclasses.dataclass(frozen=True)
class PowerNoise:
    """``alpha = 1``, ``sigma = t^power``: EDM for 1, VE as the script has it for 1/2."""

    power: float

    def alpha(self, t: float) -> float:
        """Signal scale."""
        return 1.0

    def sigma(self, t: float) -> float:
        """Noise scale."""
        return float(t**self.power)

    def f(self, t: float) -> float:
        """Drift."""
        return 0.0

    def g2(self, t: float) -> float:
        """Squared diffusion ``d sigma^2 / dt``."""
        return float(2 * self.power * t ** (2 * self.power - 1))


def processes() -> dict[str, tuple[Schedule | PowerNoise, float, float]]:
    """Return schedule, first and last time of each process, by name."""
    diffusion = StableDiffusion()
    return {
        "VP (scaled-linear)": (diffusion, float(diffusion.t_max), float(diffusion.t_min)),
        "sub-VP": (SubVP(), 1.0, _LEAST_NOISE),
        "VE": (PowerNoise(0.5), 1.0, _LEAST_NOISE**2),
        "EDM": (PowerNoise(1.0), 1.0, _LEAST_NOISE),
    }


def run_published(starts: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return the mean asymmetry by process, with 20 Euler steps, with more, and converged, over the same starts."""
    noise = np.random.default_rng(seed).standard_normal((starts, 2))
    rows = []
    for name, (schedule, first, last) in processes().items():
        x = float(schedule.sigma(first)) * noise
        truth = converged(x, TRIANGLE, schedule, first, last)
        finer = converged(x, TRIANGLE, schedule, first, last, num_steps=192)
        printed = by_euler(x, TRIANGLE, schedule, first, last, PUBLISHED_STEPS, printed=True)
        row: dict[str, Any] = {
            "process": name,
            "starts": starts,
            "log_snr": [_log_snr(schedule, first), _log_snr(schedule, last)],
            "printed": _compare(printed, truth),
            "converged": _summary(truth),
            "numerical_error": float(_distances(truth, finer).max()),
            "euler": [],
        }
        for steps in REFINEMENTS:
            answer = by_euler(x, TRIANGLE, schedule, first, last, steps, printed=False)
            row["euler"].append({"steps": steps, **_compare(answer, truth)})
        # The same experiment in a plane that is turned by a rotation: nothing but the axes has changed.
        turned = converged(x @ _TURN.T, TRIANGLE @ _TURN.T, schedule, first, last)
        row["turned"] = _summary(turned)
        row["collinear"] = _summary(by_euler(x, COLLINEAR, schedule, first, last, PUBLISHED_STEPS, printed=True))
        row["collinear_turned"] = _summary(
            by_euler(x @ _TURN.T, COLLINEAR @ _TURN.T, schedule, first, last, PUBLISHED_STEPS, printed=True)
        )
        rows.append(row)
    return rows


def by_euler(
    x: Array, atoms: Array, schedule: Schedule | PowerNoise, first: float, last: float, steps: int, *, printed: bool
) -> Array:
    """Return A after ``steps`` evenly spaced times (one less intervals), shape (B, d, d): see the module.

    ``printed`` takes B with the sign of f that eq. 22 prints.
    """
    d = x.shape[1]
    A = np.broadcast_to(np.eye(d), (len(x), d, d)).copy()
    grid = np.linspace(first, last, steps)
    n, sign = x / float(schedule.sigma(first)), 1.0 if printed else -1.0
    for t, after in itertools.pairwise(grid):
        sigma, f, g2 = (float(part(t)) for part in (schedule.sigma, schedule.f, schedule.g2))
        a, next_a = (float(schedule.alpha(time)) / float(schedule.sigma(time)) for time in (t, after))
        logits = a * n @ atoms.T - a * a / 2 * np.square(atoms).sum(axis=1)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        mean = weights @ atoms
        residuals = atoms - mean[:, None]
        covariance = np.einsum("bn,bni,bnj->bij", weights, residuals, residuals)
        half_rate = g2 / 2 / sigma**2
        B = (sign * f - half_rate) * np.eye(d) + half_rate * a * a * covariance
        A += (after - t) * (B @ A)
        n = n + (next_a - a) * mean  # DDIM, in units of the noise
    return A


def converged(
    x: Array, atoms: Array, schedule: Schedule | PowerNoise, first: float, last: float, num_steps: int = 96
) -> Array:
    """Return the limit of :func:`by_euler` (with the corrected sign) for many steps, up to a positive factor."""
    import torch

    from afi_verify.implementations import torch_transport

    arguments = torch.tensor(x), torch.tensor(atoms), schedule, first, last
    to_data = torch_transport.transport_jacobian(*arguments, num_steps=num_steps).numpy()
    # A is the transposed Jacobian of the map from the data to the noise.
    return np.asarray(np.linalg.inv(to_data).swapaxes(1, 2))


def off_diagonal_index(A: Array) -> Array:
    """Return the script's index of asymmetry, (B, 2, 2) to (B,)."""
    off = np.hypot(A[:, 0, 1], A[:, 1, 0])
    return np.asarray(np.abs(A[:, 0, 1] - A[:, 1, 0]) / np.where(off > 0, off, 1))


def _summary(A: Array) -> dict[str, float]:
    asymmetry = numpy_transport.asymmetry(A)
    eigenvalues = np.linalg.eigvalsh((A + A.swapaxes(1, 2)) / 2)
    return {
        "index": float(off_diagonal_index(A).mean()),
        "asymmetry": float(asymmetry.mean()),
        "largest_asymmetry": float(asymmetry.max()),
        "indefinite": float((eigenvalues[:, 0] <= 0).mean()),
    }


def _compare(A: Array, truth: Array) -> dict[str, float]:
    """Return the summary of ``A`` and how far it is from the truth: both are compared up to a positive factor."""
    index, right = off_diagonal_index(A), off_diagonal_index(truth)
    return {
        **_summary(A),
        "index_error": float(np.abs(index - right).mean()),
        "correlation": float(np.corrcoef(index, right)[0, 1]),
        "distance": float(_distances(A, truth).mean()),
    }


def _distances(first: Array, second: Array) -> Array:
    shapes = [matrix / np.linalg.norm(matrix, axis=(1, 2), keepdims=True) for matrix in (first, second)]
    return np.asarray(np.linalg.norm(shapes[0] - shapes[1], axis=(1, 2)))


def _log_snr(schedule: Schedule | PowerNoise, t: float) -> float:
    return 2 * math.log(float(schedule.alpha(t)) / float(schedule.sigma(t)))
