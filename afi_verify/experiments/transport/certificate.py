"""The smallest configuration whose map is not optimal, proven; and what happens as three atoms become collinear."""

import math
from typing import Any

import numpy as np

from afi_properties.problem import Array
from afi_reference.certified import enclose_transport
from afi_reference.schedules import EDM
from afi_verify.experiments.transport.configurations import TRIANGLE
from afi_verify.implementations import numpy_transport

_POINT = np.array([[0.25, -0.125]])
_LEVELS = ((1.0, 0.25), (1.0, 1.0))


def certify_triangle() -> dict[str, Any]:
    """Return a proven enclosure of the Jacobian at one point for three atoms in the plane, and of its asymmetry."""
    answer = enclose_transport(_POINT, TRIANGLE, *_LEVELS)
    lower, upper = (np.asarray(bound[0]) for bound in (answer.jacobian.lower, answer.jacobian.upper))
    # One float further out, for the subtraction of two floats is rounded.
    least = math.nextafter(float(lower[0, 1] - upper[1, 0]), -math.inf)
    most = math.nextafter(float(upper[0, 1] - lower[1, 0]), math.inf)
    symmetric = (lower + lower.T + upper + upper.T) / 4
    return {
        "atoms": TRIANGLE.tolist(),
        "x": _POINT[0].tolist(),
        "levels": [list(level) for level in _LEVELS],
        "decided": answer.jacobian.decided,
        "precision": answer.jacobian.precision,
        "lower": lower.tolist(),
        "upper": upper.tolist(),
        "asymmetry": [least, most],
        "proven": bool(least > 0 or most < 0),
        "symmetric_part_eigenvalues": np.linalg.eigvalsh(symmetric).tolist(),
    }


def flatten_triangles(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return the largest asymmetry over ``count`` points as the third of three atoms nears the line of two."""
    rng = np.random.default_rng(seed)
    rows = []
    for height in (1.0, 0.1, 0.01, 0.001, 0.0):
        atoms = np.array([[-1.0, 0.0], [1.0, 0.0], [0.3, height]])
        coarse, fine = (_asymmetry(atoms, count, np.random.default_rng(seed), steps) for steps in (64, 96))
        rows.append(
            {
                "height": height,
                "asymmetry": float(fine.max()),
                "numerical_error": float(np.abs(fine - coarse).max()),
            }
        )
    for index in range(8):
        atoms = rng.standard_normal((3, 2))
        coarse, fine = (_asymmetry(atoms, count, np.random.default_rng([seed, index]), steps) for steps in (64, 96))
        rows.append(
            {
                "atoms": atoms.tolist(),
                "asymmetry": float(fine.max()),
                "numerical_error": float(np.abs(fine - coarse).max()),
            }
        )
    return rows


def _asymmetry(atoms: Array, count: int, rng: np.random.Generator, steps: int) -> Array:
    import torch

    from afi_verify.implementations import torch_transport

    start, end = 10.0, 0.2
    x = torch.tensor(start * rng.standard_normal((count, 2)))
    jacobian = torch_transport.transport_jacobian(x, torch.tensor(atoms), EDM(), start, end, num_steps=steps)
    return numpy_transport.asymmetry(jacobian.numpy())
