"""A worker process: runs one check after the other for the process that started it, until its input ends.

Requests come in as frames of bytes through what was standard input, and the replies go out, as JSON, through what was
standard output. Both, and the stream for what the code under test prints, are then copied to where that code
does not find them by chance.
"""

import contextlib
import dataclasses
import faulthandler
import json
import os
import pickle
import signal
import sys
import time
import traceback
from typing import Any, BinaryIO

from afi_verify import leftovers, surroundings
from afi_verify.adapter import Adapter
from afi_verify.backends import load_backend
from afi_verify.capture import first_line, name_of
from afi_verify.checks import run_check
from afi_verify.conditions import fixed_conditions
from afi_verify.errors import UnusableError
from afi_verify.planning import Plan, planned_checks
from afi_verify.sending import unpack
from afi_verify.untrusted import import_file, inventory

CUT_OFF = 71
"""Exit status where an answer cannot be sent."""


_LARGEST = 2**32
"""Bytes of a frame: the user's own data may be in one, and no answer is larger."""


def write_frame(stream: BinaryIO, payload: bytes) -> None:
    """Write ``payload`` with its length before it."""
    stream.write(len(payload).to_bytes(8, "big") + payload)
    stream.flush()


def read_frame(stream: BinaryIO) -> bytes | None:
    """Read what :func:`write_frame` wrote; ``None`` where the stream ends."""
    head = stream.read(8)
    if len(head) < 8:
        return None
    length = int.from_bytes(head, "big")
    if length > _LARGEST:
        return None
    payload = stream.read(length)
    return payload if len(payload) == length else None


def main() -> None:
    """Serve the process that started this one."""
    replies = os.fdopen(os.dup(1), "wb")
    requests = os.fdopen(os.dup(0), "rb")
    printed = os.dup(2)
    os.dup2(2, 1)
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a device
        os.dup2(nothing.fileno(), 0)
    surroundings.keep_standard_streams()
    _die_quickly(printed, replies)
    write_frame(replies, str(os.getpid()).encode())  # ready; who started us knows the guardian's alone
    service = _Service()
    while (request := read_frame(requests)) is not None:
        mark, operation, *arguments = pickle.loads(request)  # noqa: S301 - from our own parent process
        reply = getattr(service, operation)(*arguments)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        with contextlib.suppress(OSError):
            os.write(printed, mark)
        _send(replies, reply)


class _Service:
    """What the parent process can ask for; every reply is JSON."""

    def __init__(self) -> None:
        self._plan: Plan | None = None
        self._packed: list[bytes | None] = []
        self._adapters: dict[int, Adapter] = {}

    def inventory(self, path: str) -> dict[str, Any]:
        """Tell what is in a file of adapters."""
        return inventory(path)

    def replay(self, *arguments: Any) -> dict[str, Any]:
        """Run one case again; return the lines that tell of it."""
        from afi_verify.replay import replay, told

        try:
            with fixed_conditions():
                lines, right = told(replay(*arguments, load=lambda file: import_file(file).adapters))
        except UnusableError as error:
            return {"unusable": str(error)}
        return {"lines": lines, "right": right}

    def set_up(self, plan: Plan, packed: list[bytes | None]) -> None:
        """Learn what is to be checked."""
        self._plan, self._packed = plan, packed

    def load(self, position: int) -> dict[str, Any]:
        """Load the adapter at this position, and the others of its file."""
        packed = self._packed[position]
        assert packed is not None
        try:
            adapter = unpack(packed)
            load_backend(adapter.backend, adapter.dtype, adapter.device)
        except UnusableError as error:
            return {"refused": str(error)}
        self._adapters[position] = adapter
        return {}

    def check(self, position: int, check_id: str) -> dict[str, Any]:
        """Run a check of the adapter at this position."""
        assert self._plan is not None
        return _reply(self._adapters[position], check_id, self._plan)


def _die_quickly(printed: int, replies: BinaryIO) -> None:
    """Leave a trace of the place, no core file, and no child that could answer in our place."""
    faulthandler.enable(file=printed)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the user interrupts the process that started this one
    with contextlib.suppress(ImportError):  # not on this system
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: os.close(replies.fileno()))


def _send(replies: BinaryIO, reply: object) -> None:
    try:
        write_frame(replies, json.dumps(reply).encode())
    except OSError:
        os._exit(CUT_OFF)  # the code under test has closed the pipe


def _reply(adapter: Adapter, check_id: str, plan: Plan) -> dict[str, Any]:
    environment, there = dict(os.environ), leftovers.present()
    try:
        check = next(check for check in planned_checks(adapter, plan) if check.id == check_id)
        before = time.perf_counter()
        with fixed_conditions():
            result = run_check(check, plan)
        seconds = time.perf_counter() - before
        harmed = surroundings.harmed or leftovers.left_since(there)
        return {"result": dataclasses.asdict(result), "seconds": seconds, "harmed": harmed}
    except Exception as error:  # what the code under test raises is a finding: this is ours, or the damage it did
        return {"broken": first_line(error), "kind": name_of(type(error)), "trace": traceback.format_exc()}
    finally:
        for name in set(os.environ) - set(environment):
            del os.environ[name]
