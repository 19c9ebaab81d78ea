"""The command line: ``afi-verify bench``."""

import json
import sys
from typing import Annotated

import typer

app = typer.Typer(name="bench", help="Measure the oracles themselves.", no_args_is_help=True)


@app.command()
def oracle(
    batch: Annotated[int, typer.Option(min=1, help="Points.")] = 4,
    atoms: Annotated[int, typer.Option(min=1, help="Atoms.")] = 2048,
    dimension: Annotated[int, typer.Option(min=1, help="Dimensions of each.")] = 16384,
    repeats: Annotated[int, typer.Option(min=1, help="Times that each method is run.")] = 7,
) -> None:
    """Measure the one pass over the atoms beside what it competes with and what bounds it."""
    # Imported here so that --help answers at once.
    from afi_verify.bench.oracle import run_oracle_bench

    json.dump(run_oracle_bench(batch, atoms, dimension, repeats), sys.stdout, indent=1)
