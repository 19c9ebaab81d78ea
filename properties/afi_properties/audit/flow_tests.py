"""Tests of Theorem 1: where the Jacobian of the flow is symmetric, and where the map is optimal on samples."""

import itertools
from collections.abc import Sequence
from functools import cache
from typing import TypeAlias

import numpy as np
from flint import arb, arb_mat, arb_series
from scipy.optimize import linear_sum_assignment

from afi_properties.audit.entry import Method, Outcome
from afi_properties.audit.evidence import no_violation
from afi_properties.audit.instances import BITS, Instance, instances
from afi_reference import DiracMixture
from afi_reference.certified import working_precision
from afi_reference.distribution import Array
from afi_reference.flow import FlowOracle
from afi_reference.schedules import RectifiedFlow

Atoms: TypeAlias = tuple[tuple[float, float], ...]

GENERAL: Atoms = ((0.5, 0.0), (0.0, -0.5), (0.0, 0.0))
"""The three atoms of the paper's later version."""
COLLINEAR: Atoms = ((0.5, 0.25), (-0.5, -0.25), (0.0, 0.0))
_START, _END = 0.1, 0.9
_CENTRE: dict[Atoms, tuple[float, float]] = {GENERAL: (0.27, -0.09), COLLINEAR: (0.3, -0.1)}
_POINTS = 24
_RADIUS = 0.005


def commutator(atoms: Sequence[Sequence[float]], x: Sequence[float]) -> arb:
    """Enclose entry (1, 2) of [dF/dtau, F] along the flow at tau = sigma^2 = 1/4, alpha = 1, in two dimensions.

    With H the Jacobian of the velocity, that of the map over a short time h is ``1 + h H + ...``, and its antisymmetric
    part is ``h^3 / 6 [H', H]`` to leading order. H is an affine function of F, so where the commutator is not zero no
    interval that is short enough has a symmetric Jacobian.
    """
    with working_precision(BITS):
        tau = arb(1) / 4
        points = [[arb(c) for c in atom] for atom in atoms]
        here = [arb(c) for c in x]
        weights = _weights([arb_series([c], prec=2) for c in here], arb_series([tau], prec=2), points)
        mean = [sum((w[0] * y[k] for w, y in zip(weights, points, strict=True)), arb(0)) for k in range(2)]
        # The flow with alpha = 1: dx/dtau = (x - mean) / (2 tau).
        moving = [arb_series([c, (c - m) / (2 * tau)], prec=2) for c, m in zip(here, mean, strict=True)]
        time = arb_series([tau, arb(1)], prec=2)
        weights = _weights(moving, time, points)
        first = [_total([w * y[k] for w, y in zip(weights, points, strict=True)]) for k in range(2)]
        fisher = [
            [
                (1 / time if i == j else arb_series([0], prec=2))
                - (_total([w * (y[i] * y[j]) for w, y in zip(weights, points, strict=True)]) - first[i] * first[j])
                / (time * time)
                for j in range(2)
            ]
            for i in range(2)
        ]
        value = arb_mat([[fisher[i][j][0] for j in range(2)] for i in range(2)])
        slope = arb_mat([[fisher[i][j][1] for j in range(2)] for i in range(2)])
        return (slope * value - value * slope)[0, 1]


def _total(terms: list[arb_series]) -> arb_series:
    return sum(terms, arb_series([0], prec=2))


def _weights(x: list[arb_series], tau: arb_series, points: list[list[arb]]) -> list[arb_series]:
    masses = [(-_total([(a - b) * (a - b) for a, b in zip(x, y, strict=True)]) / (2 * tau)).exp() for y in points]
    total = _total(masses)
    return [mass / total for mass in masses]


@cache
def examine(atoms: Atoms) -> tuple[float, float, float, float]:
    """Follow a ring of points from time 0.1 to 0.9 of the rectified flow, and the Jacobian at its centre.

    Returns
    -------
    tuple of float
        The smallest eigenvalue of the symmetric part of the Jacobian; the antisymmetric part; the oracle's error of
        both; and how much cheaper than the flow's the best assignment of the ring's points to their images is, over the
        cost of the flow's.
    """
    flow = FlowOracle(DiracMixture(np.array(atoms)), RectifiedFlow())
    centre = np.array(_CENTRE[atoms])
    answer = flow.transport_jacobian(centre[None], _START, _END)
    jacobian = answer.value[0]
    symmetric = (jacobian + jacobian.T) / 2
    values, vectors = np.linalg.eigh(symmetric)
    # A circle in the metric of the symmetric part: there the antisymmetric part has the largest effect.
    stretch = vectors / np.sqrt(np.abs(values)) @ vectors.T
    angle = 2 * np.pi * np.arange(_POINTS) / _POINTS
    ring = centre + _RADIUS * np.stack([np.cos(angle), np.sin(angle)], axis=1) @ stretch
    image = flow.transport(ring, _START, _END).value
    cost = ((ring[:, None] - image) ** 2).sum(-1)
    rows, columns = linear_sum_assignment(cost)
    gain = float((np.trace(cost) - cost[rows, columns].sum()) / _scale(ring, image))
    return float(values[0]), float(jacobian[0, 1] - jacobian[1, 0]) / 2, float(answer.error[0]), gain


def _scale(ring: Array, image: Array) -> float:
    """Return the spread of the ring times that of its image: what a permutation can change."""
    return float(np.linalg.norm(ring - ring.mean(0)) * np.linalg.norm(image - image.mean(0)))


def criterion(cases: int, *, symmetric: bool) -> Outcome:
    """Test whether "definite" (or "symmetric and definite") tells where the flow is an optimal transport."""
    details, right = [], True
    for name, atoms in (("three atoms in general position", GENERAL), ("three atoms on a line", COLLINEAR)):
        smallest, skew, error, gain = examine(atoms)
        says_optimal = smallest > error and (not symmetric or abs(skew) <= error)
        is_optimal = gain < 1e-6
        right &= says_optimal == is_optimal
        details.append(
            f"{name}: symmetric part ≥ {smallest:.3f}, antisymmetric part {skew:.3g} ± {error:.1g}, on {_POINTS} points"
            + (" optimal" if is_optimal else " a cycle of them is cheaper the other way")
        )
    bracket = commutator(GENERAL, (0.125, -0.25))
    proven = not bracket.contains(0)
    details.append(f"proven not symmetric over short times: commutator {bracket.str(5, radius=False)}")
    return Outcome(
        bool(right),
        (Method.NUMERIC, Method.CERTIFIED),
        "; ".join(details),
        {"commutator": float(bracket.mid())},
        proven,
    )


def always_symmetric(cases: int, *, atoms: Atoms) -> Outcome:
    """Test whether the Jacobian of the flow is symmetric for these atoms and for drawn ones on a line (commutator)."""
    brackets = [commutator(atoms, (a / 8, b / 8)) for a, b in ((1, -2), (3, 1), (-1, 1), (2, 3))]
    if any(not b.contains(0) for b in brackets):
        worst = max(brackets, key=lambda b: abs(float(b.mid())))
        return Outcome(
            False, (Method.CERTIFIED,), f"the commutator is {worst.str(5, radius=False)} at a point", certified=True
        )
    return no_violation(_bends, lambda: instances((2,)))(cases)


def _bends(instance: Instance) -> bool:
    """Whether the Jacobian is proven not to be symmetric although the atoms are on a line."""
    first = instance.atoms[0]
    gaps = [(y[0] - first[0], y[1] - first[1]) for y in instance.atoms]
    on_a_line = all(a * d == b * c for (a, b), (c, d) in itertools.combinations(gaps, 2))
    return on_a_line and not commutator(instance.atoms, instance.x).contains(0)
