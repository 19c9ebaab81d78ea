"""Packs texts that the page shows on demand into little room."""

import base64
import json
import zlib

_CHUNK = 60_000  # characters between two looks at the size: each look costs some bytes


class Pack:
    """A gzip file of one JSON object, to which texts are added while there is room.

    Parameters
    ----------
    room : int
        Bytes that the finished pack should not exceed, as base64; the last chunk may pass it.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._squeeze = zlib.compressobj(9, wbits=31)
        self._parts = [self._squeeze.compress(b"{")]
        self._pending: list[str] = []
        self._names: set[str] = set()
        self.left_out = 0

    def add(self, name: str, text: str) -> bool:
        """Add a text under a name; return whether there was room."""
        if self._room <= 0:
            self.left_out += 1
            return False
        comma = "," if self._names else ""
        self._names.add(name)
        self._pending.append(f"{comma}{json.dumps(name)}:{json.dumps(text, ensure_ascii=False)}")
        if sum(map(len, self._pending)) > _CHUNK:
            self._room -= self._flush()
        return True

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def __bool__(self) -> bool:
        return bool(self._names)

    def _flush(self) -> int:
        text = "".join(self._pending).encode(errors="replace")
        part = self._squeeze.compress(text) + self._squeeze.flush(zlib.Z_SYNC_FLUSH)
        self._pending = []
        self._parts.append(part)
        return len(part) * 4 // 3

    def finish(self) -> str:
        """Return the pack as base64; nothing can be added afterwards."""
        text = "".join(self._pending).encode(errors="replace") + b"}"
        self._parts.append(self._squeeze.compress(text) + self._squeeze.flush())
        return base64.b64encode(b"".join(self._parts)).decode()
