"""The command line: ``afi-verify experiment``."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(name="experiment", help="Run the paper's algorithms where the truth is known.", no_args_is_help=True)


@app.callback()
def _experiment() -> None:
    """Run the paper's algorithms where the truth is known, and write down how accurate they are."""


@app.command()
def transport(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer points and starts.")] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write results.json and index.html into this folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON, and nothing else.")] = False,
) -> None:
    """Try Theorem 1: where the map of the probability-flow ODE is an optimal transport, and the published experiment.

    Needs torch and POT. Exit status: 0 the numbers support every statement of the page; 1 they do not; 2 an argument or
    the installation is unusable; 130 interrupted.
    """
    # Imported here so that --help answers at once.
    from afi_verify.errors import UnusableError
    from afi_verify.experiments.transport.page import transport_study
    from afi_verify.experiments.transport.run import broken_statements, run_transport
    from afi_verify.report.study import write_study
    from afi_verify.runner import environment

    def listen(what: str) -> None:
        if not as_json:
            typer.echo(what, err=True)

    words = ["afi-verify experiment transport", *["--quick"] * quick, *["--report DIR"] * (report is not None)]
    try:
        document = run_transport(quick=quick, listen=listen)
        document |= {"command": " ".join(words), "environment": environment()}
        if report is not None:
            listen(f"report: {write_study(transport_study(document), document, report)}")
    except (UnusableError, OSError) as error:
        typer.echo(f"unusable: {error}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo("interrupted: nothing was written.", err=True)
        raise typer.Exit(130) from None
    broken = broken_statements(document)
    if as_json:
        sys.stdout.write(json.dumps(document, indent=1, allow_nan=False) + "\n")
    else:
        for statement in broken:
            typer.echo(f"not supported: {statement}")
        typer.echo(transport_study(document).answer)
    raise typer.Exit(1 if broken else 0)


@app.command()
def likelihood(
    points: Annotated[int, typer.Option(min=1, help="Samples of each mixture.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Seed of mixtures and samples.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="In two dimensions only.")] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write results.json and index.html into this folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON, and nothing else.")] = False,
) -> None:
    """Measure how the likelihood of a Gaussian mixture converges, with the exact trace, under each solver.

    Needs torch. Exit status: 0 every solver converges with its order, those of order 2 to within 1e-3 bits per
    dimension; 1 some do not; 2 an argument or the installation is unusable; 130 interrupted.
    """
    try:
        import torch  # noqa: F401 - to say early, and clearly, what is missing
    except ImportError:
        typer.echo("unusable: it needs torch; install it with: pip install 'afi-verify[torch]'", err=True)
        raise typer.Exit(2) from None
    from afi_verify.experiments.likelihood import DIMENSIONS, SCHEMA, run_likelihood
    from afi_verify.experiments.likelihood_page import as_it_should, make_study
    from afi_verify.report.study import write_study
    from afi_verify.runner import environment

    def listen(what: str) -> None:
        if not as_json:
            typer.echo(what, err=True)

    words = ["afi-verify experiment likelihood", f"--points {points} --seed {seed}", *["--quick"] * quick]
    words += ["--report DIR"] * (report is not None)
    dimensions = DIMENSIONS[:1] if quick else DIMENSIONS
    try:
        document = {"schema": SCHEMA, "command": " ".join(words), "environment": environment()}
        document |= run_likelihood(dimensions=dimensions, points=points, seed=seed, listen=listen)
        if report is not None:
            listen(f"report: {write_study(make_study(document), document, report)}")
    except OSError as error:
        typer.echo(f"unusable: {error}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo("interrupted: nothing was written.", err=True)
        raise typer.Exit(130) from None
    if as_json:
        sys.stdout.write(json.dumps(document, indent=1, allow_nan=False) + "\n")
    else:
        typer.echo(make_study(document).answer)
    raise typer.Exit(int(not as_it_should(document)))


@app.command("ground-truth")
def ground_truth(
    quick: Annotated[bool, typer.Option("--quick", help="Tiny networks and few points: whether it runs.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first network; the others' follow.")] = 0,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep finished networks in this file; those in it are not trained again."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write results.json and index.html into this folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON, and nothing else.")] = False,
) -> None:
    """Train networks on digits and on Gaussian mixtures, and hold every method against the exact Fisher information.

    Needs torch; some 15 minutes on one core. Exit status: 0 measured, whatever the numbers; 2 an argument or the
    installation is unusable; 130 interrupted.
    """
    # Imported here so that --help answers at once.
    from afi_verify.errors import UnusableError
    from afi_verify.report.study import write_study
    from afi_verify.runner import environment

    def listen(what: str) -> None:
        if not as_json:
            typer.echo(what, err=True)

    command = "afi-verify experiment ground-truth" + " --quick" * quick + f" --seed {seed}"
    command += " --resume FILE" * (resume is not None) + " --report DIR" * (report is not None)
    try:
        try:
            from afi_verify.experiments.ground_truth.page import make_study
            from afi_verify.experiments.ground_truth.run import run_ground_truth
        except ImportError as error:
            raise UnusableError(f"it needs torch ({error}): pip install 'afi-verify[torch]'") from None
        document = run_ground_truth(quick=quick, seed=seed, resume=resume, listen=listen)
        study = make_study(document, command, environment())
        if report is not None:
            listen(f"report: {write_study(study, {**document, 'environment': environment()}, report)}")
    except (UnusableError, OSError) as error:
        typer.echo(f"unusable: {error}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        kept = "nothing was written" if resume is None else f"what was finished is in {resume}"
        typer.echo(f"interrupted: {kept}.", err=True)
        raise typer.Exit(130) from None
    if as_json:
        sys.stdout.write(json.dumps(document, indent=1, allow_nan=False) + "\n")
    else:
        typer.echo(study.answer)
