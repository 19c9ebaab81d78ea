"""A result as lines of text: for the terminal, and for the failures of tests."""

import shlex
from collections.abc import Iterator

from afi_verify.results import CheckResult


def lines_of(check: CheckResult, source: str = "") -> Iterator[str]:
    """Yield what must hold, what was found instead, and how to see it again; nothing that is markup.

    Parameters
    ----------
    check
        What was found.
    source
        The file with the adapter, for the command that replays the case.
    """
    if check.known_failure is not None:
        yield f"known failure: {check.known_failure}"
    yield f"what must hold: {check.statement}"
    yield check.message
    if check.simplest is None:
        return
    yield f"simplest case: {check.simplest.case}"
    yield check.simplest.message
    if check.simplest.id:
        words = (source or "ADAPTER.py", check.id, check.simplest.id)
        yield f"again: afi-verify replay {shlex.join(words)}"
