"""The command line: ``afi-verify audit``."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

UNUSABLE = 2

CASES = {"quick": 100, "ci": 300, "deep": 1000}
"""Instances per property run; deep: as many as the profile of that name draws in `afi-verify run`."""

BOUND_CASES = {"quick": 10_000, "ci": 100_000, "deep": 1_000_000}
"""Cases held against the bounds of Prop. 7 and 8."""


def audit(
    labels: Annotated[
        list[str] | None, typer.Argument(metavar="[LABEL]...", help="Only these entries, such as eq-17 or prop-8.")
    ] = None,
    profile: Annotated[str, typer.Option(help="How many instances to draw: quick, ci or deep.")] = "ci",
    bounds: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="Cases held against the bounds of Prop. 7 and 8; the profile's by default."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of those cases.")] = 0,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write results.json and index.html into this folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON, and nothing else.")] = False,
    only_list: Annotated[bool, typer.Option("--list", help="List the entries and compute nothing.")] = False,
) -> None:
    """Recompute the verdict on every statement of the paper.

    Exit status: 0 every verdict came out as catalogued; 1 one did not, or a corrected bound is violated;
    2 an argument is unusable; 130 interrupted.
    """
    from afi_verify.audit.console import print_audit, print_list, show_progress
    from afi_verify.audit.page import audit_study
    from afi_verify.audit.run import is_confirmed, run_audit, select
    from afi_verify.errors import UnusableError
    from afi_verify.report.study import write_study
    from afi_verify.runner import environment

    try:
        if profile not in CASES:
            raise UnusableError(f"profile {profile!r} is not known; choose one of: {', '.join(CASES)}.")
        parts = select(labels or [])
        if only_list:
            print_list(parts)
            return
        # Entries that are picked out are about those; the bounds belong to the whole audit, or are asked for.
        bound_cases = bounds if bounds is not None else 0 if labels else BOUND_CASES[profile]
        with show_progress(quiet=as_json) as listen:
            document: dict[str, Any] = run_audit(parts, CASES[profile], bound_cases, seed, listen)
        document["environment"] = environment()
        if report is not None:
            words = ["afi-verify", "audit", *(labels or []), "--profile", profile, "--bounds", str(bound_cases)]
            command = " ".join([*words, "--seed", str(seed), "--report", "DIR"])
            page = write_study(audit_study(document, command), document, report)
            typer.echo(f"report: {page}", err=True)
    except (UnusableError, OSError) as error:
        typer.echo(f"unusable: {error}", err=True)
        raise typer.Exit(UNUSABLE) from None
    except KeyboardInterrupt:
        typer.echo("interrupted: nothing was written.", err=True)
        raise typer.Exit(130) from None
    if as_json:
        sys.stdout.write(json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    else:
        print_audit(document)
    raise typer.Exit(int(not is_confirmed(document)))
