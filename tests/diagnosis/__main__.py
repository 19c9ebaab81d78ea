"""Measure the diagnosis on what it was not made for: ``python -m tests.diagnosis``, from the root of the repository."""

import argparse
import sys

import numpy as np

from tests.diagnosis.measure import Named, name_faults
from tests.diagnosis.registry import MODULES, collect


def main() -> int:
    """Print what is named for each, and the rates."""
    parser = argparse.ArgumentParser(prog="python -m tests.diagnosis", description=__doc__)
    parser.add_argument("--set", choices=[*MODULES, "all"], default="all", help="which wrong ones (default: all)")
    parser.add_argument("--dtype", choices=["float64", "float32"], action="append", help="default: both")
    parser.add_argument("--profile", default="ci", help="cases per check (default: ci)")
    parser.add_argument("--seed", type=int, default=0, help="of the cases (default: 0)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only those whose name contains one of these")
    options = parser.parse_args()
    dtypes = options.dtype or ["float64", "float32"]
    for which in MODULES if options.set == "all" else [options.set]:
        animals = [a for a in collect(which) if not options.only or any(part in a.name for part in options.only)]
        named: list[Named] = []
        for one in name_faults(animals, profile=options.profile, seed=options.seed, dtypes=dtypes):
            named.append(one)
            mark = "fault " if one.exact else "family" if one.family else "other " if one.fault else "none  "
            size = "x".join(map(str, one.size)) if one.size else "-"
            sys.stdout.write(
                f"{mark} {one.dtype} {one.animal.name}: {one.animal.fault}; named: {one.fault}: {one.diagnosis}"
                f" ({one.verdict}, {size}, {one.seconds:.1f} s)\n"
            )
            sys.stdout.flush()
        for dtype in dtypes:
            if of_dtype := [one for one in named if one.dtype == dtype]:
                sys.stdout.write(f"{which}, {dtype}: {rates(of_dtype)}\n")
    return 0


def rates(named: list[Named]) -> str:
    """How many of them are named rightly."""
    exact, family, small = (sum(getattr(one, a) for one in named) for a in ("exact", "family", "small"))
    wrong = sum(one.fault is not None and not one.family for one in named)
    seconds = [one.seconds for one in named]
    return (
        f"of {len(named)} the fault of {exact} is named, the family of {family}, another family for {wrong}, nothing "
        f"for {len(named) - family - wrong}; the simplest counterexample of {small} has N <= 3 and d <= 3; diagnosis "
        f"takes {np.median(seconds):.2g} s of processor time at the median, {max(seconds):.2g} s at most"
    )


if __name__ == "__main__":
    sys.exit(main())
