"""The command line: ``afi-verify experiment``."""

import typer

app = typer.Typer(name="experiment", help="Run the paper's algorithms where the truth is known.", no_args_is_help=True)


@app.callback()
def _experiment() -> None:
    """Run the paper's algorithms where the truth is known, and write down how accurate they are."""
