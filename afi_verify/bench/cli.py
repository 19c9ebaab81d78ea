"""The command line: ``afi-verify bench``."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(name="bench", help="Measure the oracles themselves.", no_args_is_help=True)

UNUSABLE = 2


@app.command()
def oracle(
    batch: Annotated[int, typer.Option(min=1, help="Points.")] = 4,
    atoms: Annotated[int, typer.Option(min=1, help="Atoms.")] = 2048,
    dimension: Annotated[int, typer.Option(min=1, help="Numbers in each atom and point.")] = 16384,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of torch; all cores when left out.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Times that each method is run.")] = 7,
    log_snr: Annotated[float, typer.Option(min=-60, max=60, help="Noise level of the comparison.")] = -8.0,
    scaling: Annotated[bool, typer.Option("--scaling", help="Fit exponents, too: up to 16 times the data.")] = False,
    large: Annotated[bool, typer.Option("--large", help="A memory map and two dask workers, too.")] = False,
    large_atoms: Annotated[int, typer.Option(min=1, help="Atoms of --large.")] = 1_000_000,
    large_dimension: Annotated[int, typer.Option(min=1, help="Numbers in each of them.")] = 1024,
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where --large puts its file; it is removed afterwards.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write results.json and index.html into this folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON, and nothing else.")] = False,
) -> None:
    """Measure the one pass over the atoms (F v, score, trace) beside what it competes with and what bounds it.

    Exit status: 0 measured, whatever the numbers; 2 an argument is unusable; 130 interrupted.
    """
    # Imported here so that --help answers at once.
    import tempfile

    from afi_verify.bench import oracle as bench
    from afi_verify.bench.large import run_large
    from afi_verify.bench.oracle_page import make_study, summary
    from afi_verify.errors import UnusableError
    from afi_verify.report.study import write_study
    from afi_verify.runner import environment

    def listen(what: str) -> None:
        if not as_json:
            typer.echo(what, err=True)

    size = (batch, atoms, dimension, repeats)
    # With every number, since defaults may change; without the folders of this machine.
    words = ["afi-verify", "bench", "oracle", "--batch", f"{batch}", "--atoms", f"{atoms}"]
    words += ["--dimension", f"{dimension}", "--repeats", f"{repeats}", "--log-snr", f"{log_snr:g}"]
    words += ["--threads", f"{threads}"] * (threads is not None) + ["--scaling"] * scaling
    if large:
        words += ["--large", "--large-atoms", f"{large_atoms}", "--large-dimension", f"{large_dimension}"]
        words += ["--folder", "DIR"] * (folder is not None)
    words += ["--report", "DIR"] * (report is not None)
    try:
        bench.require_torch()
        document = {
            "schema": bench.SCHEMA,
            "command": shlex.join(words),
            "environment": environment(),
            "comparison": bench.run_comparison(*size, threads=threads, log_snr=log_snr, listen=listen),
            "scaling": bench.run_scaling(*size, threads=threads, log_snr=log_snr, listen=listen) if scaling else None,
            "large": None,
        }
        if large:
            place = folder if folder is not None else Path(tempfile.gettempdir())
            document["large"] = run_large(place, large_atoms, large_dimension, batch, listen=listen)
        if report is not None:
            listen(f"report: {write_study(make_study(document), document, report)}")
    except (UnusableError, OSError) as error:
        typer.echo(f"unusable: {error}", err=True)
        raise typer.Exit(UNUSABLE) from None
    except KeyboardInterrupt:
        typer.echo("interrupted: nothing was written.", err=True)
        raise typer.Exit(130) from None
    if as_json:
        sys.stdout.write(json.dumps(document, indent=1, allow_nan=False) + "\n")
    else:
        typer.echo(summary(document))


@app.command()
def accuracy(
    family: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only families whose name holds this; can be repeated.")
    ] = None,
    quantity: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this quantity (fisher_trace, ...); can be repeated.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small problems at three noise levels.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of data, points and roundings.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Keep finished problems in this file; those already in it are not measured again."
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write results.json and index.html into this folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON, and nothing else.")] = False,
) -> None:
    """Measure every oracle against ball arithmetic, in multiples of what float64 could attain.

    Exit status: 0 all below the limit; 1 some are not, or gave no answer; 2 an argument is unusable; 130 interrupted.
    """
    # Imported here so that --help answers at once.
    from afi_verify.bench.accuracy.console import print_table, show_progress
    from afi_verify.bench.accuracy.page import accuracy_study, misses
    from afi_verify.bench.accuracy.run import run_accuracy
    from afi_verify.report.study import write_study
    from afi_verify.runner import environment

    try:
        with show_progress(quiet=as_json) as progress:
            document = run_accuracy(
                family or (), quantity or (), quick=quick, seed=seed, jobs=jobs, progress=progress, resume=resume
            )
        document["environment"] = environment()
        if report is not None:
            page = write_study(accuracy_study(document), document, report)
            typer.echo(f"report: {page}", err=True)
    except (ValueError, OSError) as error:
        typer.echo(f"unusable: {error}", err=True)
        raise typer.Exit(UNUSABLE) from None
    except KeyboardInterrupt:
        kept = "nothing was written" if resume is None else f"what was finished is in {resume}"
        typer.echo(f"interrupted: {kept}.", err=True)
        raise typer.Exit(130) from None
    if as_json:
        sys.stdout.write(json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    else:
        print_table(document)
    raise typer.Exit(1 if misses(document) else 0)


@app.command()
def statistics(
    repetitions: Annotated[int, typer.Option(min=1, help="Of each experiment.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write results.json and index.html into this folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON, and nothing else.")] = False,
) -> None:
    """Count the false alarms and the misses of the sequential tests.

    Exit status: 0 no stated rate was exceeded; 1 one was; 2 an argument is unusable.
    """
    from afi_verify.bench import statistics as bench
    from afi_verify.report.study import write_study
    from afi_verify.runner import environment

    def listen(what: str) -> None:
        if not as_json:
            typer.echo(what, err=True)

    document = bench.run_statistics(repetitions, seed, listen)
    if report is not None:
        command = f"afi-verify bench statistics --repetitions {repetitions} --seed {seed} --report {report}"
        try:
            listen(f"report: {write_study(bench.make_study(document, command, environment()), document, report)}")
        except OSError as error:
            typer.echo(f"unusable: {error}", err=True)
            raise typer.Exit(UNUSABLE) from None
    if as_json:
        sys.stdout.write(json.dumps(document, indent=1, allow_nan=False) + "\n")
    raise typer.Exit(int(not bench.kept(document)))


@app.command()
def certified(
    seed: Annotated[int, typer.Option(min=0, help="Seed of the points.")] = 0,
) -> None:
    """Time the certified trace and operator on the digits, one point per log-SNR from -20 to 20, as JSON."""
    from afi_verify.bench.certified import run_certified_bench

    sys.stdout.write(json.dumps(run_certified_bench(seed), indent=1, allow_nan=False) + "\n")


@app.command()
def margins(
    claim: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only claims and relations whose name holds this; can be repeated."),
    ] = None,
    dtype: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="float32, whose margins are narrower, or float64; both when left out."),
    ] = None,
    cases: Annotated[int, typer.Option(min=1, help="In each dimension; fewer where a case is costly.")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep what is finished in this file; it is not measured again."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write results.json and index.html into this folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON, and nothing else.")] = False,
) -> None:
    """Measure how far the cases of each claim keep its truth from every wrong formula.

    Exit status: 0 at least half of the cases of each claim are far from all; 1 not so somewhere; 2 an argument is
    unusable; 130 interrupted.
    """
    # Imported here so that --help answers at once.
    from afi_verify.bench.accuracy.console import show_progress
    from afi_verify.bench.margins.measure import DTYPES
    from afi_verify.bench.margins.page import margins_study, misses
    from afi_verify.bench.margins.run import run_margins
    from afi_verify.report.study import write_study
    from afi_verify.runner import environment

    try:
        if not set(dtype or ()) <= set(DTYPES):
            raise ValueError(f"--dtype must be one of {', '.join(DTYPES)}.")
        with show_progress(quiet=as_json) as progress:
            document = run_margins(
                claim or (), dtypes=dtype or DTYPES, cases=cases, seed=seed, jobs=jobs, progress=progress, resume=resume
            )
        if report is not None:
            words = ["afi-verify", "bench", "margins", *(f"--claim={name}" for name in claim or ())]
            words += [f"--dtype={name}" for name in dtype or ()]
            command = shlex.join([*words, "--cases", f"{cases}", "--seed", f"{seed}", "--report", "DIR"])
            page = write_study(margins_study(document, command, environment()), document, report)
            typer.echo(f"report: {page}", err=True)
    except (ValueError, OSError) as error:
        typer.echo(f"unusable: {error}", err=True)
        raise typer.Exit(UNUSABLE) from None
    except KeyboardInterrupt:
        kept = "nothing was written" if resume is None else f"what was finished is in {resume}"
        typer.echo(f"interrupted: {kept}.", err=True)
        raise typer.Exit(130) from None
    missed = misses(document)
    if as_json:
        sys.stdout.write(json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    else:
        for row in document["rows"]:
            typer.echo(
                f"{row['claim']} {row['roles'] or '-'} {row['family']} {row['dtype'] or '-'} d={row['dimension']}: "
                f"{row['wide']}/{row['cases']} above {document['wide']:g}, {row['telling']} above 1, "
                f"median {row['median']:.3g}, hardest: {row['hardest'] or '-'}"
            )
        for line in missed:
            typer.echo(f"misses: {line}")
    raise typer.Exit(int(bool(missed)))
