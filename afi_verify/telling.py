"""A result as lines of text: for the terminal, and for the failures of tests."""

import shlex
from collections.abc import Iterator

from afi_verify.results import CheckResult, Counterexample


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
    command = replay_command(check, check.simplest, source)
    if command:
        yield f"again: {command}"


def replay_command(check: CheckResult, case: Counterexample, source: str) -> str:
    """Return the command that runs a case again; empty if there is none.

    Parameters
    ----------
    check
        What found the case.
    case
        The case.
    source
        The file with the adapter, or the module of the shipped ones; ``ADAPTER.py`` stands for it where not known.
    """
    if not case.id:
        return ""
    file = source if source.endswith(".py") else "shipped" if source else "ADAPTER.py"
    own = check.scenario == "own-data" or case.id.rpartition("_")[2].startswith(("on-", "with-"))
    return shlex.join(["afi-verify", "replay", file, check.id, case.id, *(["--data", "DATA.npy"] if own else [])])
