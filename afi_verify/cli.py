"""The command line: ``afi-verify run``, ``replay``, ``list`` and ``bench``."""

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from afi_verify.audit.cli import audit
from afi_verify.bench.cli import app as bench
from afi_verify.cases.commands import app as cases
from afi_verify.experiments.cli import app as experiment
from afi_verify.history_commands import app as history
from afi_verify.report.cli import report as report_command
from afi_verify.stable_diffusion.cli import app as stable_diffusion

app = typer.Typer(
    name="afi-verify",
    help="Is your code for the Fisher information of diffusion models right, and how accurate is it?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("audit")(audit)
app.command("report")(report_command)
app.add_typer(bench)
app.add_typer(cases)
app.add_typer(history)
app.add_typer(experiment)
app.add_typer(stable_diffusion)

UNUSABLE = 2
INTERRUPTED = 130  # as a shell says it of what SIGINT ended


@app.callback(invoke_without_command=True)
def _common(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        import importlib.metadata

        typer.echo(f"afi-verify {importlib.metadata.version('afi-verify')}")
        raise typer.Exit


@app.command()
def run(
    adapters: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ADAPTER.py]...", help="Python files with an Adapter; the shipped ones when left out."),
    ] = None,
    profile: Annotated[str, typer.Option(help="How many cases to draw: quick, ci or deep.")] = "quick",
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write results.json and index.html into this folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON, and nothing else.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Count inaccurate and vacuous as failures, too.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the drawn cases.")] = 0,
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Only this scenario (dirac, gaussian-mixture, digits, no-oracle); can be repeated."
        ),
    ] = None,
    role: Annotated[list[str] | None, typer.Option(metavar="ROLE", help="Only this role; can be repeated.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FILE.npy", help="Check on these atoms, shape (N, d), over the whole range of noise."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE.npy", help="Weights of the atoms, shape (N,); uniform when left out."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            metavar="N",
            envvar="AFI_VERIFY_JOBS",
            help="Run checks on so many worker processes, with the same results. When left "
            "out: one per core, at most 4; 1 for functions of unknown data, on a GPU, and for large --data.",
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Run checks on this dask cluster, such as tcp://10.0.0.1:8786."),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Stop a check that takes longer; 300 (quick), 1200 (ci), 7200 (deep)."),
    ] = None,
    max_memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="Stop a check whose process uses more, such as 2G; 3/4 of this machine for all."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run into the same --report that did not end.")
    ] = False,
    ratchet: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Fail where a check is worse than recorded; see `afi-verify ratchet`."),
    ] = None,
    isolation: Annotated[
        bool,
        typer.Option(
            " /--no-isolation",
            help="Run checks in this very process, without limits; for a debugger.",
            show_default=False,
        ),
    ] = True,
) -> None:
    """Verify adapters: a verdict per claim.

    Exit status: 0 nothing failed; 1 some verdict is fail, error or undecided (with --strict also inaccurate
    or vacuous); 2 an adapter or an argument is unusable.
    """
    # Imported here so that --help answers at once.
    import datetime

    from afi_verify.console import Console
    from afi_verify.errors import UnusableError
    from afi_verify.planning import make_plan
    from afi_verify.ratchet import load_ratchet
    from afi_verify.results import to_json
    from afi_verify.session import load_array, run_session

    console = Console(quiet=as_json)
    try:
        plan = make_plan(
            profile=profile,
            seed=seed,
            scenarios=scenario or [],
            roles=role or [],
            data=load_array(data) if data is not None else None,
            weights=load_array(weights) if weights is not None else None,
            today=datetime.date.today(),
        )
        recorded = load_ratchet(ratchet) if ratchet is not None else None
        if recorded is not None:
            recorded.require_same_cases(plan.profile.name, seed)  # before the work, not after it
        # Standard output is ours alone: what the code under test prints would end up amid the JSON.
        with contextlib.redirect_stdout(sys.stderr if as_json else sys.stdout):
            results = run_session(
                plan,
                adapters or [],
                strict=strict,
                report=report,
                console=console,
                jobs=jobs,
                isolated=isolation,
                timeout=timeout,
                memory=max_memory,
                resume=resume,
                cluster=cluster,
            )
    except UnusableError as error:
        console.problem(str(error))
        raise typer.Exit(UNUSABLE) from None
    except KeyboardInterrupt:
        kept = "nothing was written" if report is None else "what was found is kept; --resume goes on with it"
        console.problem(f"interrupted: {kept}.")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        sys.stdout.write(to_json(results))
    worse = recorded.violations(results) if recorded is not None else []
    for violation in worse:
        typer.echo(f"worse than the ratchet: {violation}", err=as_json)
    raise typer.Exit(results.exit_status or int(bool(worse)))


@app.command()
def replay(
    adapter: Annotated[
        str, typer.Argument(metavar="ADAPTER.py", help="The Python file; `shipped` for the shipped implementations.")
    ],
    check: Annotated[str, typer.Argument(metavar="ROLE-OR-CHECK", help="A role, or the id of a check.")],
    case: Annotated[str, typer.Argument(metavar="CASE", help="The id of the case, as a report shows it.")],
    data: Annotated[
        Path | None, typer.Option(metavar="FILE.npy", help="The data, for a case on data of your own.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(metavar="FILE.npy", help="Their weights, if there were any.")] = None,
    timeout: Annotated[float | None, typer.Option(metavar="SECONDS", help="Stop if it takes longer; 300.")] = None,
    max_memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Stop if it uses more, such as 2G; 3/4 of this machine.")
    ] = None,
    isolation: Annotated[
        bool,
        typer.Option(" /--no-isolation", help="Run in this very process; for a debugger.", show_default=False),
    ] = True,
) -> None:
    """Run one case again: what was returned, expected and attainable, and what the case can tell.

    Exit status: 0 every answer is right; 1 some answer is not; 2 an argument is unusable.
    """
    from afi_verify.console import Console
    from afi_verify.errors import UnusableError
    from afi_verify.limits import limits_of
    from afi_verify.replay import SHIPPED, replay, told, told_by_worker
    from afi_verify.session import load_array

    try:
        atoms = load_array(data) if data is not None else None
        shares = load_array(weights) if weights is not None else None
        if isolation and adapter != SHIPPED:
            limits = limits_of("quick", 1, timeout, max_memory)
            lines, right = told_by_worker(adapter, check, case, atoms, shares, limits)
        else:
            lines, right = told(replay(adapter, check, case, atoms, shares))
    except UnusableError as error:
        Console().problem(str(error))
        raise typer.Exit(UNUSABLE) from None
    typer.echo("\n".join(lines))
    raise typer.Exit(int(not right))


@app.command("list")
def list_claims(
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the claims: the roles that an adapter can provide, and the parameters each may ask for."""
    from afi_properties.catalogue import ALL_CLAIMS, RELATIONS
    from afi_verify.console import Console

    rows = [
        {
            "role": claim.role,
            "claim": claim.label,
            "data": claim.family,
            "statement": claim.statement,
            "printed": claim.printed,
            "parameters": sorted(claim.parameters),
        }
        for claim in ALL_CLAIMS
    ]
    rows += [
        {
            "role": "relation",
            "claim": relation.label,
            "data": ", ".join(relation.families),
            "statement": relation.statement,
            "printed": None,
            "parameters": [],
        }
        for relation in RELATIONS
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=1, ensure_ascii=False))
    else:
        Console().claims(ALL_CLAIMS, RELATIONS)


def main() -> None:
    """Entry point of the ``afi-verify`` command."""
    for stream in (sys.stdout, sys.stderr):  # what a terminal cannot show must not end a run
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    app()
