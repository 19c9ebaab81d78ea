"""Measure the diagnosis on what it was not made for: ``python -m tests.diagnosis``, from the root of the repository."""

import argparse
import sys

from tests.diagnosis.held_out import HELD_OUT
from tests.diagnosis.measure import name_faults


def main() -> int:
    """Print what is named for each, and the rates."""
    parser = argparse.ArgumentParser(prog="python -m tests.diagnosis", description=__doc__)
    parser.add_argument("--profile", default="ci", help="cases per check (default: ci)")
    parser.add_argument("--seed", type=int, default=0, help="of the cases (default: 0)")
    options = parser.parse_args()
    named = []
    for one in name_faults(HELD_OUT, profile=options.profile, seed=options.seed):
        named.append(one)
        mark = "fault " if one.exact else "family" if one.family else "other " if one.fault else "none  "
        words = f"{mark} {one.animal.name}: {one.animal.fault}; named: {one.fault}: {one.diagnosis}"
        sys.stdout.write(f"{words} ({one.verdict})\n")
        sys.stdout.flush()
    exact, family = sum(one.exact for one in named), sum(one.family for one in named)
    wrong = sum(one.fault is not None and not one.family for one in named)
    sys.stdout.write(
        f"names the fault: {exact} of {len(named)}; names its family: {family}; names another family: {wrong}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
