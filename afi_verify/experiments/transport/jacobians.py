"""The Jacobian by three routes and under every schedule; its symmetry and its definiteness apart."""

import math
from typing import Any

import numpy as np

from afi_properties.problem import Array
from afi_reference.dirac import DiracMixture
from afi_reference.flow import FlowOracle
from afi_reference.schedules import Schedule
from afi_verify.experiments.transport.configurations import (
    TRIANGLE,
    Configuration,
    configurations,
    noise_points,
    schedules,
    times,
)
from afi_verify.implementations import numpy_transport

_TO_NOISE = (3.0, -3.0)
_RANGES = (_TO_NOISE, _TO_NOISE[::-1])


def compare_routes(count: int) -> list[dict[str, Any]]:
    """Return, by configuration and direction, how far the three routes and the oracle are from one another."""
    import torch

    from afi_verify.implementations import torch_transport

    rows = []
    schedule = schedules()["vp-linear"]
    for configuration in configurations():
        for levels in _RANGES:
            start, end = times(schedule, levels)
            atoms = configuration.atoms
            x = float(schedule.sigma(start)) * noise_points(atoms, math.exp(levels[0] / 2), count, seed=1)
            oracle = FlowOracle(DiracMixture(atoms), schedule).transport_jacobian(x, start, end)
            by_autograd = torch_transport.transport_jacobian(
                torch.tensor(x), torch.tensor(atoms), schedule, start, end, num_steps=96
            )
            answers = {
                "fundamental matrix": numpy_transport.transport_jacobian(x, atoms, schedule, start, end),
                "autograd": by_autograd.numpy(),
                "differences": numpy_transport.transport_jacobian_by_differences(x, atoms, schedule, start, end),
            }
            rows.append(
                {
                    "configuration": configuration.name,
                    "log_snr": list(levels),
                    "differences": {name: _relative(answer, oracle.value) for name, answer in answers.items()},
                    "oracle_error": float((oracle.error / _sizes(oracle.value)).max()),
                }
            )
    return rows


def compare_schedules(count: int) -> list[dict[str, Any]]:
    """Return how far map and Jacobian, in units of the noise, are from those of rectified flow, by schedule."""
    reference: tuple[Array, Array] | None = None
    n = noise_points(TRIANGLE, math.exp(_TO_NOISE[0] / 2), count, seed=2)
    rows = []
    for name, schedule in sorted(schedules().items(), key=lambda item: item[0] != "rectified-flow"):
        answer = _in_noise_units(n, TRIANGLE, schedule, times(schedule, _TO_NOISE))
        reference = reference or answer
        rows.append(
            {
                "schedule": name,
                "map": float(np.abs(answer[0] - reference[0]).max()),
                "jacobian": _relative(answer[1], reference[1]),
            }
        )
    return rows


def examine_structure(count: int) -> list[dict[str, Any]]:
    """Return asymmetry, definiteness and determinant of each configuration's map over ``count`` points."""
    return [_structure(configuration, count) for configuration in configurations()]


def _structure(configuration: Configuration, count: int) -> dict[str, Any]:
    import torch

    from afi_verify.implementations import torch_transport

    schedule = schedules()["rectified-flow"]
    levels = (7.0, -7.0)
    start, end = times(schedule, levels)
    x = float(schedule.sigma(start)) * noise_points(configuration.atoms, math.exp(levels[0] / 2), count, seed=3)
    # Half of the points where the atoms share the posterior: the images of noise.
    noise = np.random.default_rng(4).standard_normal((count // 2, x.shape[1])) * float(schedule.sigma(end))
    atoms = torch.tensor(configuration.atoms)
    x[: count // 2] = torch_transport.transport_map(torch.tensor(noise), atoms, schedule, end, start).numpy()
    jacobian = torch_transport.transport_jacobian(torch.tensor(x), atoms, schedule, start, end, num_steps=96).numpy()
    asymmetry = numpy_transport.asymmetry(jacobian)
    eigenvalues = np.linalg.eigvalsh((jacobian + jacobian.swapaxes(1, 2)) / 2)
    ratio = eigenvalues[:, 0] / eigenvalues[:, -1]
    return {
        "configuration": configuration.name,
        "atoms": len(configuration.atoms),
        "dimension": configuration.atoms.shape[1],
        "expected_optimal": configuration.optimal,
        "points": count,
        "log_snr": list(levels),
        "median_asymmetry": float(np.median(asymmetry)),
        "largest_asymmetry": float(asymmetry.max()),
        "symmetric": int((asymmetry <= 1e-8).sum()),
        "definite": int((ratio > 0).sum()),
        "least_eigenvalue_ratio": float(ratio.min()),
        "least_determinant": float(np.linalg.det(jacobian).min()),
    }


def _in_noise_units(n: Array, atoms: Array, schedule: Schedule, ends: tuple[float, float]) -> tuple[Array, Array]:
    first, last = (float(schedule.sigma(t)) for t in ends)
    point = numpy_transport.transport_map(n * first, atoms, schedule, *ends) / last
    return point, numpy_transport.transport_jacobian(n * first, atoms, schedule, *ends) * first / last


def _sizes(matrices: Array) -> Array:
    return np.asarray(np.linalg.norm(matrices, axis=(1, 2)))


def _relative(answer: Array, truth: Array) -> float:
    return float((_sizes(answer - truth) / _sizes(truth)).max())
