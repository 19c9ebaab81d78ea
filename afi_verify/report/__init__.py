"""The accuracy report: one HTML file that opens offline, made from ``results.json`` alone."""

from pathlib import Path
from typing import Any

__all__ = ["render_report", "write_report"]


def render_report(results_json: dict[str, Any]) -> str:
    """Render the report of a run.

    Parameters
    ----------
    results_json : dict
        The parsed ``results.json``; nothing else is read.

    Returns
    -------
    str
        A complete HTML document that fetches nothing.

    Raises
    ------
    ValueError
        If the data has another schema, is incomplete, or contradicts itself.
    """
    # Imported here, as below, so that the command line answers at once.
    from afi_verify.report.page import render
    from afi_verify.report.reading import read_results

    return render(read_results(results_json))


def write_report(results_path: Path, html_path: Path) -> None:
    """Render the report of the run stored at ``results_path`` to ``html_path``, whole or not at all.

    Parameters
    ----------
    results_path : Path
        A ``results.json``.
    html_path : Path
        Where the HTML goes; replaced if it exists.

    Raises
    ------
    ValueError
        If the file is no JSON, has another schema, is incomplete, or contradicts itself.
    OSError
        If a file cannot be read or written; what was at ``html_path`` is then unchanged.
    """
    from afi_verify.report.landing import write_page
    from afi_verify.report.page import render
    from afi_verify.report.streaming import read_results_file

    write_page(render(read_results_file(results_path)), html_path)
