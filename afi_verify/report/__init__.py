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


def write_report(
    results_path: Path, html_path: Path, *, against: Path | None = None, ratchet: Path | None = None
) -> None:
    """Render the report of the run stored at ``results_path`` to ``html_path``, whole or not at all.

    Parameters
    ----------
    results_path : Path
        A ``results.json``.
    html_path : Path
        Where the HTML goes; replaced if it exists.
    against : Path, optional
        The ``results.json`` of an earlier run: the page then says what changed.
    ratchet : Path, optional
        A ratchet file: the page then says what is worse than recorded.

    Raises
    ------
    ValueError
        If the file is no JSON, has another schema, is incomplete, or contradicts itself.
    UnusableError
        If ``against`` or ``ratchet`` cannot be used.
    OSError
        If a file cannot be read or written; what was at ``html_path`` is then unchanged.
    """
    from afi_verify.report.history import read_history, read_ratchet
    from afi_verify.report.landing import write_page
    from afi_verify.report.page import render
    from afi_verify.report.streaming import read_results_file

    results = read_results_file(results_path)
    history = read_history(results, against) if against is not None else None
    record = read_ratchet(results, ratchet) if ratchet is not None else None
    write_page(render(results, history, record), html_path)
