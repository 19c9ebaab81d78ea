"""What a process prints, without end and without being asked: read at once, and kept in part."""

import itertools
import re
import threading
import unicodedata
from pathlib import Path
from typing import BinaryIO

HEAD, TAIL = 1000, 3000
"""Bytes kept of the beginning and of the end."""


class Capture:
    """Reads a stream to its end in a thread of its own, so that whoever writes never waits."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._kept = bytearray()
        self._left_out = 0
        self._change = threading.Condition()
        self._ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def take(self, mark: bytes, patience: float = 2.0) -> str:
        """Return what came until ``mark``, or until the end of the stream, as text, and forget it.

        After ``patience`` seconds without either, what came until now.
        """
        with self._change:
            self._change.wait_for(lambda: mark in self._kept or self._ended, patience)
            found, marked, rest = bytes(self._kept).partition(mark)
            left_out, self._left_out = self._left_out, 0
            self._kept = bytearray(rest if marked else b"")
        if left_out:
            cut = f"\n… {left_out} bytes left out …\n".encode()
            found = found[:HEAD] + cut + found[HEAD:]
        return printable(found.decode(errors="replace")).strip("\n")

    def _read(self) -> None:
        try:
            while chunk := self._stream.read1(2**16):  # type: ignore[attr-defined]
                with self._change:
                    self._kept += chunk
                    excess = len(self._kept) - HEAD - TAIL
                    if excess > 0:
                        del self._kept[HEAD : HEAD + excess]
                        self._left_out += excess
                    self._change.notify_all()
        except (OSError, ValueError):  # closed
            pass
        with self._change:
            self._ended = True
            self._change.notify_all()


def without_dump(output: str) -> tuple[str, str]:
    """Split off what Python's fault handler printed of a crash: return the rest, and where the code under test was.

    That is the innermost line of its own file, as far as that can be told; empty where there was no such dump.
    """
    rest, found, dump = output.partition("Fatal Python error: ")
    if not found or "(most recent call first):" not in dump:
        return output, ""
    frames = re.findall(r'^  File "([^"]*)", line (\d+) in ', dump.partition("Current thread")[2], re.MULTILINE)
    theirs = list(itertools.takewhile(lambda frame: frame[0] not in _CALLERS, frames))
    if len(theirs) == len(frames):
        return output, ""
    theirs = [frame for frame in theirs if not frame[0].startswith("<frozen ")]
    if not theirs:  # it was not in the code under test
        return output, ""
    file, line = next(frame for frame in theirs if frame[0] == theirs[-1][0])
    return rest.strip("\n"), f"{file_name(file)}, line {line}"


_CALLERS = [str(Path(__file__).with_name(name)) for name in ("handing.py", "loading.py")]


def printable(text: str) -> str:
    """Return ``text`` without what terminals obey."""
    return "".join(c if c in "\n\t" or unicodedata.category(c)[0] != "C" else "�" for c in text)


def name_of(kind: type) -> str:
    """Return the name of a class, which may be anybody's, without asking it."""
    name: str = type.__dict__["__name__"].__get__(kind)
    return printable(name)[:_LONG]


def file_name(path: str) -> str:
    """Return the name of a file, which may be of code that never was in one."""
    return printable(path.rpartition("/")[2])[:_LONG]


_LONG = 100


def first_line(error: BaseException) -> str:
    """Return the first line of what an exception says, or why it cannot be read: it may be of anybody's class."""
    try:
        text = str.__str__(str(error))[:_MOST_READ].encode(errors="replace").decode()  # UTF-8 has no half a surrogate
    except Exception as other:
        return f"(a message that cannot be read, as it raises {name_of(type(other))})"
    lines = printable(text).strip().splitlines()
    return lines[0][:300].rstrip(".") if lines else "(no message)"


_MOST_READ = 10_000
