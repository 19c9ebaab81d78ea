"""The command line: ``afi-verify report``."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

UNUSABLE = 2


def report(
    results: Annotated[
        Path | None, typer.Argument(metavar="[RESULTS.json]", help="What a run wrote; the page goes beside it.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE.html", help="Write it here.")] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="OLD.json", help="The results.json of an earlier run: show what changed since."),
    ] = None,
    ratchet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A ratchet file: show what is worse than recorded.")
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write DIR/index.html, which links every page DIR/*/index.html."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON, and nothing else.")] = False,
) -> None:
    """Render the page of a run or a study from its results.json, or the landing page of a folder of reports.

    A file of any size gives a page below 5 MB: all checks in detail, or the most urgent ones and a table of all.

    Exit status: 0 written; 1 written, but something that the landing page links could not be read; 2 an argument is
    unusable.
    """
    # Imported here so that --help answers at once.
    from afi_verify.errors import UnusableError
    from afi_verify.report import write_report
    from afi_verify.report.again import PAGES, write_again
    from afi_verify.report.landing import UNREAD, schema_of, write_landing

    if results is None and index is None:
        typer.echo("unusable: give the results.json of a run, or --index with a folder of reports.", err=True)
        raise typer.Exit(UNUSABLE)
    if results is None and (against is not None or ratchet is not None):
        typer.echo("unusable: --against and --ratchet go with the results.json of a run.", err=True)
        raise typer.Exit(UNUSABLE)
    written: dict[str, object] = {}
    unread: list[str] = []
    try:
        if results is not None:
            page = output if output is not None else results.with_name("index.html")
            if schema_of(results) not in PAGES:
                write_report(results, page, against=against, ratchet=ratchet)
            elif against is None and ratchet is None:
                write_again(results, page)
            else:
                raise UnusableError(f"{results} is no run: --against and --ratchet go with the results.json of a run.")
            written["page"] = str(page)
        if index is not None:
            if not index.is_dir():
                raise NotADirectoryError(f"{index} is no folder")
            entries = write_landing(index)
            unread = [entry.folder for entry in entries if entry.answer.startswith(UNREAD)]
            written["index"] = str(index / "index.html")
            written["entries"] = [dataclasses.asdict(entry) for entry in entries]
    except (UnusableError, ValueError, OSError) as error:
        typer.echo(f"unusable: {error}", err=True)
        raise typer.Exit(UNUSABLE) from None
    if as_json:
        typer.echo(json.dumps(written, indent=1, ensure_ascii=False))
    else:
        for key in ("page", "index"):
            if key in written:
                typer.echo(f"report: {written[key]}")
    for folder in unread:
        typer.echo(f"{folder}: {UNREAD}", err=True)
    raise typer.Exit(int(bool(unread)))
