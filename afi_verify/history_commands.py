"""``afi-verify compare`` and ``ratchet``: results over time."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

_UNUSABLE = 2


@app.command()
def compare(
    old: Annotated[Path, typer.Argument(metavar="OLD.json", help="The results.json of the earlier run.")],
    new: Annotated[Path, typer.Argument(metavar="NEW.json", help="The results.json of the later run.")],
    factor: Annotated[
        float, typer.Option(min=1, help="By how much a worst error must change, between equal verdicts, to count.")
    ] = 2.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the changes as JSON.")] = False,
) -> None:
    """Compare two runs: what got better, what worse, what appeared and what disappeared.

    Exit status: 0 nothing got worse; 1 something did, or a check no longer runs; 2 a file is unusable.
    """
    from afi_verify.comparison import compare as compare_results
    from afi_verify.comparison import lines_of, load_results
    from afi_verify.console import Console
    from afi_verify.errors import UnusableError

    try:
        comparison = compare_results(load_results(old), load_results(new), factor)
    except UnusableError as error:
        Console().problem(str(error))
        raise typer.Exit(_UNUSABLE) from None
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(comparison), indent=1, ensure_ascii=False))
    else:
        for note in comparison.notes:
            typer.echo(f"note: {note}", err=True)
        typer.echo("\n".join(lines_of(comparison)))
    raise typer.Exit(int(bool(comparison.regressions)))


@app.command()
def ratchet(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The ratchet: a JSON file, kept with your code.")],
    results: Annotated[Path, typer.Argument(metavar="RESULTS.json", help="The results.json of a run.")],
    update: Annotated[
        bool, typer.Option("--update", help="Tighten it: record what got better and what is new. Makes the file.")
    ] = False,
) -> None:
    """Hold results against the recorded accuracy of each check, or tighten the record.

    Exit status: 0 nothing is worse than recorded; 1 something is (nothing is recorded then); 2 a file is unusable.
    """
    from afi_verify.comparison import load_results
    from afi_verify.console import Console
    from afi_verify.errors import UnusableError
    from afi_verify.ratchet import Ratchet, load_ratchet, write_ratchet

    try:
        found = load_results(results)
        new = update and not file.exists()
        recorded = Ratchet(found.profile, found.seed, {}) if new else load_ratchet(file)
        violations = recorded.violations(found)
        if update and not violations:
            tightened = recorded.tightened(found)
            write_ratchet(tightened, file)
            tighter = sum(tightened.errors[check] < error for check, error in recorded.errors.items())
            added = len(tightened.errors) - len(recorded.errors)
            typer.echo(f"{file}: {tighter} tighter, {added} new, {len(tightened.errors)} in all")
    except UnusableError as error:
        Console().problem(str(error))
        raise typer.Exit(_UNUSABLE) from None
    for violation in violations:
        typer.echo(f"worse: {violation}")
    raise typer.Exit(int(bool(violations)))
