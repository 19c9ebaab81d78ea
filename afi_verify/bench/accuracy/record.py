"""Finished problems in a file, one a line: an interrupted table goes on where it stopped."""

import dataclasses
import json
from pathlib import Path

from afi_verify.bench.accuracy.densities import EstimateCheck
from afi_verify.bench.accuracy.measure import Measurement
from afi_verify.bench.accuracy.outcome import Outcome, Task


def append(path: Path, outcome: Outcome) -> None:
    """Add a finished problem to the file.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    # Infinity is not JSON; Python writes and reads it, and nobody else reads this file.
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(dataclasses.asdict(outcome)) + "\n")


def read(path: Path) -> dict[Task, Outcome]:
    """Return the finished problems of the file, by task; none if there is no file. A line cut off is left out.

    Raises
    ------
    ValueError
        If the file holds anything else.
    OSError
        If the file cannot be read.
    """
    found = {}
    text = path.read_text("utf-8") if path.exists() else ""
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            outcome = Outcome(
                task=Task(**entry["task"]),
                measurements=tuple(Measurement(**one) for one in entry["measurements"]),
                estimates=tuple(EstimateCheck(**one) for one in entry["estimates"]),
                undecided=entry["undecided"],
                error=entry["error"],
            )
        except (ValueError, TypeError, KeyError):
            if number == len(lines) and not text.endswith("\n"):
                break  # it was being written when the run was interrupted
            raise ValueError(
                f"{path}, line {number}, is no finished problem of this version: take another file."
            ) from None
        found[outcome.task] = outcome
    return found
