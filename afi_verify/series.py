"""Checks one after the other on one worker process, which is started when it is needed, and again when it died."""

from collections.abc import Callable
from typing import Any

from afi_verify.checks import broken_result
from afi_verify.limits import Limits
from afi_verify.planning import Check, Plan
from afi_verify.report.reading import read_check
from afi_verify.results import CheckResult
from afi_verify.sending import Parcels
from afi_verify.stand_in import StandIn
from afi_verify.worker_handle import DiedError, Worker

Reply = dict[str, Any]
"""JSON: ``"result"``, ``"seconds"`` and ``"output"``, or why there are none."""


class NotSentError(Exception):
    """A check whose adapter cannot be sent to a worker; the reason is the message."""


class Series:
    """A worker process that is handed check after check.

    A process imports one file of adapters only: what that does to it touches no other file's checks.

    Parameters
    ----------
    plan
        What is checked.
    parcels
        The adapters as bytes, as :func:`afi_verify.sending.pack_all` makes them.
    limits
        Of each check, and of the import of a file.
    folder
        Where the process runs; that of this one when left out.
    start
        Gives a process for a file of adapters, which it may have imported.
    """

    def __init__(
        self,
        plan: Plan,
        parcels: Parcels,
        limits: Limits,
        folder: str | None = None,
        start: Callable[[str], Worker] | None = None,
    ) -> None:
        self._plan, self._parcels = plan, parcels
        self._start = start or (lambda _: Worker(limits, folder))
        self._worker: Worker | None = None
        self._source = ""
        self._loaded: set[int] = set()
        self._lost: dict[str, Reply] = {}  # by file: importing it ended a process, and would the next one

    @property
    def source(self) -> str:
        """The file that the process has imported, if there is a process."""
        return self._source if self._worker is not None else ""

    def run(self, position: int, check_id: str) -> Reply:
        """Run a check of the adapter at this position; whatever it does, there is a reply."""
        parcel = self._parcels[position]
        if parcel.content is None:
            return {"refused": parcel.refusal}
        reply = self._lost.get(parcel.source) or self._prepare(position)
        if reply:
            return reply
        assert self._worker is not None
        try:
            reply, output = self._worker.request("check", position, check_id)
        except DiedError as death:
            self._worker = None
            return {"died": str(death), "output": death.output}
        if reply.get("harmed", True):  # what was put back may not be all that was changed
            self.close()
        return {"output": output} | reply

    def _prepare(self, position: int) -> Reply:
        """Make sure that there is a process that has the adapter; return why not, if so."""
        parcel = self._parcels[position]
        try:
            if self._worker is not None and self._source != parcel.source:
                self.close()
            if self._worker is None:
                self._loaded.clear()
                self._worker = self._start(parcel.source)
                self._worker.request("set_up", self._plan, [parcel.content for parcel in self._parcels])
                self._source = parcel.source
            if position not in self._loaded:
                reply, _ = self._worker.request("load", position)
                if reply:
                    return dict(reply)
                self._loaded.add(position)
        except DiedError as death:
            self._worker = None
            reply = {"died": f"When its file was imported again: {death}", "output": death.output}
            if parcel.source:
                self._lost[parcel.source] = reply
            return reply
        return {}

    def close(self) -> None:
        """End the process."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


def outcome_of(check: Check, reply: Reply) -> tuple[CheckResult | NotSentError, float, str]:
    """Return the result that a reply holds (or why the adapter cannot be sent), the seconds, and what was printed."""
    if "refused" in reply:
        if isinstance(check.adapter, StandIn):
            return (
                broken_result(check, f"Its file gave something else when it was imported again: {reply['refused']}"),
                0.0,
                "",
            )
        return NotSentError(reply["refused"]), 0.0, ""
    if "died" in reply:
        return broken_result(check, reply["died"]), 0.0, reply["output"]
    try:
        return read_check(reply["result"]), float(reply["seconds"]), reply["output"]
    except (LookupError, TypeError, ValueError) as error:
        cause = (
            f"{reply['kind']}: {reply['broken']}" if "broken" in reply else f"an answer that cannot be read, {error}"
        )
        message = (
            f"afi-verify itself failed while it checked this ({cause}). Either the code under test did something to "
            "the process that runs it, or this is a mistake of ours: then please report it, with what was printed."
        )
        return broken_result(check, message), 0.0, f"{reply.get('output', '')}\n{reply.get('trace', '')}".strip()
