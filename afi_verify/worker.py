"""A worker process: runs one check after the other for the process that started it, until its input ends.

Frames of bytes come in through what was standard input (the setup, then check after check) and go out, as JSON, through
what was standard output. Both, and the stream for what the code under test prints, are then copied to where that code
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

from afi_verify import surroundings
from afi_verify.adapter import Adapter
from afi_verify.backends import load_backend
from afi_verify.checks import run_check
from afi_verify.conditions import fixed_conditions
from afi_verify.errors import UnusableError
from afi_verify.planning import Plan, planned_checks
from afi_verify.sending import unpack

CUT_OFF = 71
"""Exit status where an answer cannot be sent."""


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
    setup = read_frame(requests)
    if setup is None:
        return
    plan, packed = pickle.loads(setup)  # noqa: S301 - from our own parent process
    adapters = [_receive(item) for item in packed]
    refusals = [item if isinstance(item, str) else None for item in adapters]
    _send(replies, refusals)
    while (request := read_frame(requests)) is not None:
        position, check_id, mark = json.loads(request)
        reply = _reply(adapters[position], check_id, plan)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        with contextlib.suppress(OSError):
            os.write(printed, mark.encode())
        _send(replies, reply)


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


def _receive(packed: bytes | None) -> Adapter | str:
    if packed is None:
        return ""  # it could not be sent, and the sender knows
    try:
        adapter = unpack(packed)
        load_backend(adapter.backend, adapter.dtype, adapter.device)
    except UnusableError as error:
        return str(error)
    return adapter


def _reply(adapter: Adapter, check_id: str, plan: Plan) -> dict[str, Any]:
    environment = dict(os.environ)
    try:
        check = next(check for check in planned_checks(adapter, plan) if check.id == check_id)
        before = time.perf_counter()
        with fixed_conditions():
            result = run_check(check, plan)
        seconds = time.perf_counter() - before
        return {"result": dataclasses.asdict(result), "seconds": seconds, "harmed": surroundings.harmed}
    except Exception as error:  # ours, not the code's under test: the run must not go on as if nothing were
        trace = traceback.format_exc()
        return {"unusable": str(error) if isinstance(error, UnusableError) else "", "trace": trace}
    finally:
        for name in set(os.environ) - set(environment):
            del os.environ[name]
