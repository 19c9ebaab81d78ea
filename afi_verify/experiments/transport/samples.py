"""Optimality on samples: the map's pairing against POT's exact solver, and Gaussians against the Bures map."""

import math
import warnings
from typing import Any

import numpy as np

from afi_properties.problem import Array
from afi_reference.flow import FlowOracle
from afi_reference.gaussian import gaussian
from afi_reference.schedules import EDM, RectifiedFlow
from afi_verify.errors import UnusableError
from afi_verify.experiments.transport.configurations import Configuration, configurations, noise_points, times

_LOG_SNR = (7.0, -7.0)


def require_pot() -> Any:
    """Return the module ``ot``.

    Raises
    ------
    UnusableError
        If POT is not installed.
    """
    try:
        import ot
    except ImportError as error:
        raise UnusableError("POT is not installed: pip install 'afi-verify[ot]'.") from error
    return ot


def compare_with_exact_solver(sample: int, ring: int) -> list[dict[str, Any]]:
    """Return what POT's exact solver gains over the map, on a random sample and on a ring of points.

    A map is optimal if and only if no finite set of its pairs can be rearranged at a gain (cyclical monotonicity), so
    every gain beyond rounding proves that it is not. A random sample is too sparse to show a weak rotation; the ring
    lies around the point of the largest asymmetry among 64, an ellipse in the metric of the Jacobian there.
    """
    return [_compare(configuration, sample, ring) for configuration in configurations()]


def _compare(configuration: Configuration, sample: int, ring: int) -> dict[str, Any]:
    schedule, atoms = EDM(), configuration.atoms
    start, end = times(schedule, _LOG_SNR)

    import torch

    from afi_verify.implementations import torch_transport

    def follow(x: Array) -> Array:
        points = torch.tensor(x), torch.tensor(atoms)
        return torch_transport.transport_map(*points, schedule, start, end, num_steps=96).numpy()

    x = start * noise_points(atoms, 1 / start, sample, seed=5)
    row: dict[str, Any] = {"configuration": configuration.name, "expected_optimal": configuration.optimal}
    row["sample"] = _gain(x, follow(x))
    if atoms.shape[1] == 1:
        return row
    candidates = np.random.default_rng(6).standard_normal((64, atoms.shape[1])) * end
    to_data = torch.tensor(candidates), torch.tensor(atoms), schedule, end, start
    back = torch_transport.transport_map(*to_data, num_steps=96).numpy()
    jacobians = np.linalg.inv(torch_transport.transport_jacobian(*to_data, num_steps=96).numpy())
    symmetric = (jacobians + jacobians.swapaxes(1, 2)) / 2
    values, axes = np.linalg.eigh(symmetric)
    safe = np.where(values > 0, values, np.inf)
    roots = (axes / np.sqrt(safe)[:, None, :]) @ axes.swapaxes(1, 2)
    # How much the map turns in the metric in which it does not stretch: the eigenvalues are +-i turn.
    turns = np.linalg.svd(roots @ (jacobians - symmetric) @ roots)
    strength = np.where((values > 0).all(axis=1), turns.S[:, 0], 0.0)
    best = int(strength.argmax())
    plane = roots[best] @ turns.U[best][:, :2]
    angles = 2 * math.pi * np.arange(ring) / ring
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ plane.T
    x = back[best] + 0.05 * start * circle / np.abs(circle).max()
    row["ring"] = {**_gain(x, follow(x)), "turn": float(strength[best]), "points": ring}
    return row


def _gain(x: Array, y: Array) -> dict[str, float]:
    """Return the cost of pairing ``x`` with ``y`` in order, and what the best pairing saves of it."""
    ot = require_pot()
    # Moving either side costs the same for every pairing, and small numbers have small roundings.
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
    costs = np.square(x[:, None] - y[None]).sum(axis=2)
    # A warning would mean that the solver stopped early, and its pairing no optimum.
    with warnings.catch_warnings(action="error"):
        plan = ot.emd([], [], costs, numItermax=10**8)
    pairing = plan.argmax(axis=1)
    gain = -2 * math.fsum(((x - x[np.argsort(pairing)]) * y).sum(axis=1))
    # With |x| = |y| = 1 the largest possible gain is 4.
    return {"gain": gain, "moved": int((pairing != np.arange(len(x))).sum())}


def compare_with_bures(seed: int = 0) -> list[dict[str, Any]]:
    """Return how far the integrated flow of Gaussians is from the Bures map between its two ends, by dimension."""
    ot = require_pot()
    rows, schedule = [], RectifiedFlow()
    for d in (1, 2, 3, 5):
        rng = np.random.default_rng([seed, d])
        root = rng.standard_normal((d, d)) / 2
        mean, covariance = rng.standard_normal(d), root @ root.T + 0.05 * np.eye(d)
        start, end = 0.2, 0.9
        oracle = FlowOracle(gaussian(mean, covariance), schedule, closed_form=False)
        x = schedule.alpha(start) * mean + rng.standard_normal((1, d))
        at = [schedule.alpha(t) ** 2 * covariance + schedule.sigma(t) ** 2 * np.eye(d) for t in (start, end)]
        means = [schedule.alpha(t) * mean for t in (start, end)]
        matrix, offset = ot.gaussian.bures_wasserstein_mapping(*means, *at)
        answer, jacobian = oracle.transport(x, start, end), oracle.transport_jacobian(x, start, end)
        rows.append(
            {
                "dimension": d,
                "map": float(np.abs(answer.value - (x @ matrix + offset)).max()),
                "jacobian": float(np.abs(jacobian.value[0] - matrix).max()),
                "commutator": float(np.abs(at[0] @ at[1] - at[1] @ at[0]).max()),
            }
        )
    return rows
