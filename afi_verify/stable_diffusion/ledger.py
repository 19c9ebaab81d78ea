"""A list of work whose results are kept as they come: killed at any moment, it goes on without losing or repeating one.

Each process appends to a file of its own, one JSON object a line, and waits until the disk has it. What a kill leaves
unfinished is a torn last line, which does not count. Which process does an item follows from the item's place in the
list alone, so that nobody has to ask anybody.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from afi_verify.errors import UnusableError


def run_items(
    folder: Path,
    settings: dict[str, Any],
    items: Sequence[str],
    work: Callable[[str], dict[str, Any]],
    *,
    rank: int = 0,
    world: int = 1,
    listen: Callable[[str], None] = lambda _: None,
) -> None:
    """Do this process's share of the items that are not done yet.

    Parameters
    ----------
    folder
        Where the results are kept; created if need be.
    settings
        What the results depend on; kept beside them.
    items
        The names of all items, the same in every process.
    work
        From a name to a result that JSON can hold.
    rank, world
        Which process this is, and of how many.
    listen
        Told of each item before it is done.

    Raises
    ------
    UnusableError
        If the folder holds results of other settings, or another process is at work in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, settings)
    file = folder / f"results-{rank}.jsonl"
    with file.open("a+b") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UnusableError(
                f"{folder}: another run is at work here; wait for it, or choose another folder."
            ) from None
        _drop_torn_line(stream)
        done = {row["item"] for row in read_rows(folder)}
        for k, item in enumerate(items):
            if k % world != rank or item in done:
                continue
            listen(f"{k + 1} of {len(items)}: {item}")
            line = json.dumps({"item": item, **work(item)}, allow_nan=False) + "\n"
            stream.write(line.encode())
            stream.flush()
            os.fsync(stream.fileno())


def read_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the finished results of all processes, each item once; torn lines are passed over."""
    seen: set[str] = set()
    for file in sorted(folder.glob("results-*.jsonl")):
        for line in file.read_bytes().split(b"\n")[:-1]:  # what follows the last newline is not finished
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and row.get("item") not in seen:
                seen.add(str(row.get("item")))
                yield row


def _claim(folder: Path, settings: dict[str, Any]) -> None:
    file = folder / "settings.json"
    text = json.dumps(settings, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if file.exists():
        before = file.read_text(encoding="utf-8")
        if before != text:
            old, new = json.loads(before), json.loads(text)
            changed = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
            raise UnusableError(
                f"{folder} holds results of other settings (different: {', '.join(changed)}). Choose another "
                "folder, or remove this one."
            )
        return
    # Whole or not at all, and the same from every process.
    partial = folder / f"settings.{os.getpid()}.partial"
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)


def _drop_torn_line(stream: Any) -> None:
    stream.seek(0)
    content = stream.read()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        stream.truncate(whole)
    stream.seek(0, os.SEEK_END)
