"""Reads a ``results.json`` of any size: check by check, so that the file is never in memory as a whole."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from afi_verify.report.reading import Collector, require_schema
from afi_verify.results import Results

_CHUNK = 1 << 18


def read_results_file(path: Path) -> Results:
    """Read the results of one run; of all but the most urgent checks, the figures alone.

    Parameters
    ----------
    path : Path
        A ``results.json``.

    Returns
    -------
    Results
        As `read_results` gives it.

    Raises
    ------
    ValueError
        If the file is no JSON, has another schema, is incomplete, or contradicts itself.
    OSError
        If the file cannot be read.
    """
    collector = Collector()
    try:
        with path.open(encoding="utf-8") as file:
            walk = _Walk(file)
            document = require_schema(walk.document(collector))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no JSON file: {error}") from error
    if walk.trouble is not None:
        raise walk.trouble
    return collector.finish(document)


class _Walk:
    """A walk through JSON text, of which only a window is in memory."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._text = ""
        self._at = 0
        self._ended = False
        self._decode = json.JSONDecoder().raw_decode
        self.trouble: ValueError | None = None  # the first check that is unusable, of a schema still to be read

    def document(self, collector: Collector) -> object:
        """Return the document without the checks, which go to the collector."""
        if self._next() != "{":
            document = self._value()
        else:
            document = {key: self._adapters(collector) if key == "adapters" else self._value() for key in self._keys()}
        if self._next():
            raise json.JSONDecodeError("more text after the end", self._text, self._at)
        return document

    def _adapters(self, collector: Collector) -> Any:
        if self._next() != "[":
            return self._value()
        return [self._adapter(number, collector) for number, _ in enumerate(self._items())]

    def _adapter(self, number: int, collector: Collector) -> Any:
        if self._next() != "{":
            return self._value()
        return {key: self._checks(number, collector) if key == "checks" else self._value() for key in self._keys()}

    def _checks(self, number: int, collector: Collector) -> Any:
        if self._next() != "[":
            return self._value()
        for _ in self._items():
            entry = self._value()
            try:
                collector.add(number, entry)
            except ValueError as error:
                self.trouble = self.trouble or error
        return []

    def _keys(self) -> Iterator[str]:
        # Yields each key of the object here; whoever asks for the next one has read the value.
        for _ in self._members("{", "}"):
            key = self._value()
            if not isinstance(key, str):
                raise json.JSONDecodeError("expected a name in quotes", self._text, self._at)
            self._take(":")
            yield key

    def _items(self) -> Iterator[None]:
        yield from self._members("[", "]")

    def _members(self, start: str, end: str) -> Iterator[None]:
        self._take(start)
        if self._next() != end:
            yield
            while self._next() == ",":
                self._take(",")
                yield
        self._take(end)

    def _take(self, character: str) -> None:
        if self._next() != character:
            raise json.JSONDecodeError(f"expected {character!r}", self._text, self._at)
        self._at += 1

    def _next(self) -> str:
        """Return the next character that is no white space, or nothing at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in " \t\r\n":
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _value(self) -> Any:
        while True:
            self._next()
            try:
                value, end = self._decode(self._text, self._at)
            except json.JSONDecodeError:
                if not self._more():
                    raise
                continue
            # A number may go on beyond the window.
            if end == len(self._text) and self._more():
                continue
            self._at = end
            return value

    def _more(self) -> bool:
        """Move the window on; at least double it, so that a long value is not parsed again too often."""
        if self._ended:
            return False
        rest = self._text[self._at :]
        read = self._file.read(max(_CHUNK, len(rest)))
        self._ended = not read
        self._text, self._at = rest + read, 0
        return bool(read)
