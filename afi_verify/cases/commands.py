"""The command line: ``afi-verify cases export`` and ``afi-verify cases check``."""

import importlib.metadata
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afi_verify.errors import UnusableError

if TYPE_CHECKING:
    from afi_verify.console import Console
    from afi_verify.results import Results

app = typer.Typer(
    name="cases",
    help="Golden cases: verify code in any language by a file of problems with certified answers.",
    no_args_is_help=True,
)

UNUSABLE = 2
_DEFAULT_FILE = "golden-cases.safetensors"


@app.command()
def export(
    target: Annotated[
        Path, typer.Argument(metavar="DIR|FILE", help=f"A .safetensors file, or a folder for {_DEFAULT_FILE}.")
    ],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the drawn cases.")] = 0,
    rounds: Annotated[int, typer.Option(min=1, help="Cases of each size, family and dtype of inputs.")] = 1,
    largest_dimension: Annotated[int, typer.Option(min=1, metavar="D", help="The largest dimension.")] = 64,
    uniform_weights: Annotated[
        bool, typer.Option("--uniform-weights", help="Only equal weights, for code that has none.")
    ] = False,
    max_precision: Annotated[
        int, typer.Option(min=64, metavar="BITS", help="Where this is not enough an answer is undecided.")
    ] = 4096,
) -> None:
    """Write cases with certified answers and attainable errors.

    The same options give the same file, byte for byte, on the same platform. docs/golden-cases.md describes the format.
    """
    # Imported here so that --help answers at once.
    from afi_verify.cases.export import Request, make_table
    from afi_verify.cases.table import names_of_answers, write_table
    from afi_verify.console import Console

    try:
        path = _file(target)
        table = make_table(Request(seed, rounds, largest_dimension, uniform_weights, max_precision))
        size = write_table(table, path)
    except UnusableError as error:
        Console().problem(str(error))
        raise typer.Exit(UNUSABLE) from None
    undecided = sum(len(case["undecided"]) for case in table.catalogue["cases"])
    typer.echo(
        f"{path}: {len(table.catalogue['cases'])} cases, {len(names_of_answers(table))} answers "
        f"({undecided} undecided), {size / 1e3:.0f} kB"
    )


@app.command()
def check(
    answers: Annotated[Path, typer.Argument(metavar="ANSWERS", help="Answers, as a .safetensors file.")],
    cases: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=f"The cases that are answered; {_DEFAULT_FILE} beside ANSWERS if left out."),
    ] = None,
    float64: Annotated[
        Path | None,
        typer.Option(
            metavar="ANSWERS", help="Float64 answers of the same code: tells lost digits from a wrong formula."
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write results.json and index.html into this folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON, and nothing else.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Count inaccurate and vacuous as failures, too.")] = False,
) -> None:
    """Verify answers to golden cases: a verdict per role and family of data.

    Exit status: 0 nothing failed; 1 some verdict is fail, error or undecided (with --strict also inaccurate
    or vacuous); 2 a file or an argument is unusable.
    """
    from afi_verify.cases.judging import judge
    from afi_verify.cases.table import read_answers, read_table
    from afi_verify.console import Console
    from afi_verify.results import Results, to_json

    console = Console(quiet=as_json)
    try:
        table = read_table(cases if cases is not None else answers.with_name(_DEFAULT_FILE))
        given = read_answers(answers, table)
        if not given:
            raise UnusableError(f"{answers} holds no answers: nothing was verified.")
        wider = {} if float64 is None else read_answers(float64, table)
        results = Results(
            version=importlib.metadata.version("afi-verify"),
            profile="golden cases",
            seed=table.catalogue["request"]["seed"],
            strict=strict,
            adapters=judge(table, given, wider, source=str(answers)),
        )
        console.summary(results)
        if report is not None:
            _write_report(results, report, console)
    except UnusableError as error:
        console.problem(str(error))
        raise typer.Exit(UNUSABLE) from None
    if as_json:
        sys.stdout.write(to_json(results))
    raise typer.Exit(results.exit_status)


def _file(target: Path) -> Path:
    """Return the file that is meant by a file or a folder."""
    if target.is_dir() or not target.suffix:
        return target / _DEFAULT_FILE
    if target.suffix != ".safetensors":
        raise UnusableError(f"{target} is neither a folder nor called *.safetensors, which is the format of the cases.")
    return target


def _write_report(results: "Results", folder: Path, console: "Console") -> None:
    from afi_verify.runner import Report

    try:
        console.written(Report(results).write(folder))
    except OSError as error:
        raise UnusableError(f"The report cannot be written to {folder}: {error.strerror}.") from None
