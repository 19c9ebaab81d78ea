"""Making a counterexample from real data small."""

from afi_properties.real_data import with_nearest_atoms
from afi_verify.examination import Finding, examine
from afi_verify.handing import Subject


def with_fewer_atoms(subject: Subject, finding: Finding) -> Finding:
    """Keep the fewest atoms nearest to the point for which the finding is of the same kind.

    Returns the finding as it is where nothing smaller shows the fault.
    """
    problem = finding.problem
    count = 1
    while count < problem.atoms:
        smaller = examine(subject, with_nearest_atoms(problem, count))
        if smaller.kind is finding.kind:
            return smaller
        count = min(2 * count, problem.atoms)
    return finding
