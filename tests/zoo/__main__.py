"""The kill matrix as a command: ``python -m tests.zoo --help``, from the root of the repository."""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path

from afi_verify.profiles import PROFILES
from afi_verify.runner import environment
from tests.zoo.matrix import names_of_all, run_zoo
from tests.zoo.page import make_study
from tests.zoo.summary import describe, summarise


def main(arguments: list[str] | None = None) -> int:
    """Run it and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.zoo",
        description="Hold every wrong and every right implementation of the zoo against every check of its role.",
        epilog="Exit status: 0 all is well; 1 a mutant survives, a right implementation is accused, or a check catches "
        "nothing that the others do not; 2 bad usage.",
    )
    parser.add_argument("--profile", choices=list(PROFILES), default="ci", help="cases per check (default: ci)")
    parser.add_argument("--innocents-profile", choices=list(PROFILES), help="the same for right ones (default: quick)")
    parser.add_argument("--report", type=Path, metavar="DIR", help="write results.json and index.html into this folder")
    parser.add_argument("--json", action="store_true", help="print the results as JSON, and nothing else")
    parser.add_argument("-j", "--jobs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="of the cases (default: 0)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only animals whose name contains one of these")
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error("--jobs must be at least 1.")
    names = [n for n in names_of_all() if not options.only or any(part in n for part in options.only)]
    if not names:
        parser.error(f"no animal has a name that contains {' or '.join(options.only)}.")
    begun = time.perf_counter()
    innocents_profile = options.innocents_profile or "quick"
    records = []
    found = run_zoo(
        names, profile=options.profile, innocents_profile=innocents_profile, seed=options.seed, jobs=options.jobs
    )
    for record in found:
        records.append(record)
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{len(records)} of {len(names)}")
    summary = summarise(records, whole=not options.only)
    command = f"python -m tests.zoo --profile {options.profile} --innocents-profile {innocents_profile}"
    document = {
        "schema": "afi-verify/kill-matrix/1",
        "command": f"{command} --seed {options.seed} -j {options.jobs} --report DIR",
        "summary": summary,
        "animals": [dataclasses.asdict(record) for record in records],
        "environment": environment(),
        "seconds": round(time.perf_counter() - begun, 1),
    }
    document = json.loads(json.dumps(document))
    if options.report is not None:
        from afi_verify.report.study import write_study

        write_study(make_study(document), document, options.report)
    if options.json:
        sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(describe(summary))
    return int(not summary["ok"])


if __name__ == "__main__":
    sys.exit(main())
