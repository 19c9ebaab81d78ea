"""Making a counterexample from real data small."""

import dataclasses

import numpy as np

from afi_properties.problem import Array, Problem
from afi_verify.examination import Finding, examine
from afi_verify.handing import Subject


def with_fewer_atoms(subject: Subject, finding: Finding) -> Finding:
    """Keep one point, and the fewest atoms nearest to it for which the finding is of the same kind.

    Returns the finding as it is where nothing smaller shows the fault.
    """
    problem, point = finding.problem, finding.worst_point
    values = problem.values
    distances = ((values["x"][point] - values["alpha"][point] * values["data"]) ** 2).sum(axis=1)
    nearest = np.argsort(distances)
    count = 1
    while count < problem.atoms:
        smaller = examine(subject, _part(problem, point, np.sort(nearest[:count])))
        if smaller.kind is finding.kind:
            return smaller
        count = min(2 * count, problem.atoms)
    return finding


def _part(problem: Problem, point: int, atoms: Array) -> Problem:
    values = {
        name: value[[point]] if name not in ("data", "weights") else value[atoms]
        for name, value in problem.values.items()
    }
    values["weights"] = values["weights"] / values["weights"].sum()
    description = f"{problem.description}, the {len(atoms)} atoms nearest to one point"
    return dataclasses.replace(problem, values=values, description=description, key=None)
