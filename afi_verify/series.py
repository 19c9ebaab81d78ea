"""Checks one after the other on one worker process, which is started when it is needed, and again when it died."""

from typing import Any

from afi_verify.checks import broken_result
from afi_verify.errors import UnusableError
from afi_verify.limits import Limits
from afi_verify.planning import Check
from afi_verify.report.reading import read_check
from afi_verify.results import CheckResult
from afi_verify.worker_handle import DiedError, Worker
from afi_verify.workers import NotSentError

Reply = dict[str, Any]
"""JSON: ``"result"``, ``"seconds"`` and ``"output"``, or why there are none."""


class Series:
    """A worker process that is handed check after check.

    Parameters
    ----------
    setup
        The pickled pair of the plan and the adapters as bytes, as :func:`afi_verify.workers.pack_all` makes them.
    limits
        Of each check.
    folder
        Where the process runs; that of this one when left out.
    """

    def __init__(self, setup: bytes, limits: Limits, folder: str | None = None) -> None:
        self._setup, self._limits, self._folder = setup, limits, folder
        self._worker: Worker | None = None

    def run(self, position: int, check_id: str) -> Reply:
        """Run a check of the adapter at this position; whatever it does, there is a reply."""
        try:
            if self._worker is None:
                self._worker = Worker(self._limits, self._folder)
                self._worker.set_up(self._setup)
            if self._worker.refusals[position] is not None:
                return {"refused": self._worker.refusals[position]}
            reply, output = self._worker.ask(position, check_id)
        except DiedError as death:
            self._worker = None
            return {"died": str(death), "output": death.output}
        if reply.get("harmed", True):  # what was put back may not be all that was changed
            self.close()
        return reply | {"output": output}

    def close(self) -> None:
        """End the process."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


def outcome_of(check: Check, reply: Reply) -> tuple[CheckResult | NotSentError, float, str]:
    """Return the result that a reply holds (or why the adapter cannot be sent), the seconds, and what was printed.

    Raises
    ------
    UnusableError
        If the check found that the adapter cannot be used.
    RuntimeError
        If the harness itself failed in the process; the message holds its traceback.
    """
    if "refused" in reply:
        return NotSentError(reply["refused"]), 0.0, ""
    if "died" in reply:
        return broken_result(check, reply["died"]), 0.0, reply["output"]
    if "result" not in reply:
        raise UnusableError(reply["unusable"]) if reply["unusable"] else RuntimeError(reply["trace"])
    return read_check(reply["result"]), reply["seconds"], reply["output"]
