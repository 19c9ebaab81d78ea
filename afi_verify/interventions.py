"""Which part of a formula is wrong, told by questions that make the other parts trivial.

Where alpha = sigma = 1 no power of them can be wrong; between two atoms no weight can; where all covariances are
multiples of the identity no transpose can. What is right there and wrong elsewhere depends on what was made trivial.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from afi_properties.diagnosis import Explanation, Fault
from afi_properties.problem import Array, Problem
from afi_verify.examination import Finding
from afi_verify.handing import Subject
from afi_verify.probes import becomes_right

_TIED_TO_A_SCHEDULE = ("schedule", "t", "alpha_bar", "eps_fn", "head_fn")


def find_part(subject: Subject, answered: Sequence[Finding], mostly_wrong: bool) -> Explanation | None:
    """Return the part of the formula that is wrong, where only one can be; ``None`` otherwise.

    A power of alpha or sigma makes most answers wrong (``mostly_wrong``); else some noise levels do.
    """
    if not subject.asks_for(*_TIED_TO_A_SCHEDULE) and becomes_right(subject, answered, _without_levels):
        if not mostly_wrong:
            words = "is right where α = σ = 1, on data and points that are scaled with them, and in many other cases"
            return Explanation(Fault.NOISE, f"{words}: some noise levels alone are wrong")
        if becomes_right(subject, answered, _without_alpha):
            return Explanation(Fault.POWER_OF_ALPHA, "is right where α = 1, on data and points that are scaled with it")
        words = "where σ = 1" if becomes_right(subject, answered, _without_sigma) else "where α = σ = 1"
        return Explanation(Fault.POWER_OF_SIGMA, f"is right {words}, on data and points that are scaled with it")
    if becomes_right(subject, answered, _between_two) and not becomes_right(subject, answered, _nearer_to_one):
        words = "is right half-way between two atoms, where their weights are equal, and wrong nearer to one of them"
        return Explanation(Fault.WEIGHTS_WRONG, words)
    return None


def find_covariances(subject: Subject, answered: Sequence[Finding]) -> Explanation | None:
    """Tell whether nothing but what a mixture's covariances differ by is mistaken."""
    if becomes_right(subject, answered, _isotropic):
        words = "is right where the components' covariances are multiples of the identity"
        return Explanation(Fault.COVARIANCES, words)
    if becomes_right(subject, answered, _of_one_volume):
        words = "is right where the components' covariances have the same eigenvalues: look at their log-determinants"
        return Explanation(Fault.LOG_DETERMINANT, words)
    if becomes_right(subject, answered, _of_one_covariance):
        words = "is right where the components have one covariance, and wrong where theirs differ"
        return Explanation(Fault.COVARIANCES, words)
    return None


def _without_levels(finding: Finding) -> Problem | None:
    return _scaled(finding, *_noise(finding))


def _without_alpha(finding: Finding) -> Problem | None:
    alpha, _ = _noise(finding)
    return _scaled(finding, alpha, 1.0)


def _without_sigma(finding: Finding) -> Problem | None:
    _, sigma = _noise(finding)
    return _scaled(finding, 1.0, sigma)


def _noise(finding: Finding) -> tuple[float, float]:
    values = finding.problem.values
    return float(values["alpha"][0]), float(values["sigma"][0])


def _scaled(finding: Finding, alpha: float, sigma: float) -> Problem | None:
    """Return the problem with alpha and sigma over these, for data and points that leave the posterior as it is."""
    problem = finding.problem
    if not problem.shares_noise or alpha == sigma == 1:
        return None
    values = dict(problem.values)
    values["alpha"], values["sigma"] = values["alpha"] / alpha, values["sigma"] / sigma
    values["x"] = values["x"] / sigma
    values["x0"] = values["x0"] * (alpha / sigma)
    for name, power in (("data", 1), ("means", 1), ("covariances", 2)):
        if name in values:
            values[name] = values[name] * (alpha / sigma) ** power
    return dataclasses.replace(problem, values=values, id=None)


def _between_two(finding: Finding) -> Problem | None:
    return _of_two(finding, 0.5)


def _nearer_to_one(finding: Finding) -> Problem | None:
    """Return the problem of two atoms whose weights are as three to one."""
    atoms = _first_two(finding.problem)
    if atoms is None:
        return None
    alpha, sigma = _noise(finding)
    gap = alpha**2 * ((atoms[1] - atoms[0]) ** 2).sum() / sigma**2
    share = 0.5 - np.log(3) / gap
    return _of_two(finding, share) if share > 0.01 else None


def _of_two(finding: Finding, share: float) -> Problem | None:
    problem = finding.problem
    atoms = _first_two(problem)
    if atoms is None or not problem.shares_noise:
        return None
    values = dict(problem.values)
    values["weights"] = np.full(2, 0.5)
    if "means" in values:
        values["means"], values["covariances"] = atoms, values["covariances"][[0, 0]]
    else:
        values["data"] = atoms
    point = values["alpha"][0] * (atoms[0] + share * (atoms[1] - atoms[0]))
    values["x"] = np.broadcast_to(point, values["x"].shape).copy()
    return dataclasses.replace(problem, values=values, id=None)


def _first_two(problem: Problem) -> Array | None:
    """Return the first atom, or mean, and the first other one, (2, d)."""
    name = "data" if "data" in problem.values else "means"
    atoms = problem.values[name]
    others = np.flatnonzero((atoms != atoms[0]).any(axis=1))
    return None if len(others) == 0 else np.asarray(atoms[[0, others[0]]])


def _isotropic(finding: Finding) -> Problem | None:
    d = finding.problem.dimension
    return _with_covariances(finding, lambda c: np.trace(c, axis1=1, axis2=2)[:, None, None] / d * np.eye(d))


def _of_one_covariance(finding: Finding) -> Problem | None:
    return _with_covariances(finding, lambda c: np.broadcast_to(c[0], c.shape).copy())


def _of_one_volume(finding: Finding) -> Problem | None:
    """Return the problem with the first component's covariance for all, its axes in other orders and directions."""

    def turned(covariances: Array) -> Array:
        eigenvalues = np.linalg.eigvalsh(covariances[0])
        axes = np.linalg.eigh(covariances)[1]
        made = np.asarray((axes * eigenvalues) @ axes.swapaxes(1, 2))
        return (made + made.swapaxes(1, 2)) / 2

    return _with_covariances(finding, turned) if finding.problem.dimension > 1 else None


def _with_covariances(finding: Finding, change: Callable[[Array], Array]) -> Problem | None:
    problem = finding.problem
    if "covariances" not in problem.values:
        return None
    covariances = problem.values["covariances"]
    changed = change(covariances)
    if np.allclose(changed, covariances):
        return None
    return dataclasses.replace(problem, values={**problem.values, "covariances": changed}, id=None)
