"""Results as they come, in a file of the report's folder, so that a run that is killed can go on.

One JSON object per line: first what is run, then check after check, each on disk before the next one counts. A run that
ends removes the file, as ``results.json`` then has everything. A lock keeps two runs out of one folder.
"""

import contextlib
import dataclasses
import hashlib
import io
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from afi_verify.adapter import Adapter
from afi_verify.errors import UnusableError
from afi_verify.planning import Plan
from afi_verify.report.reading import read_check
from afi_verify.results import CheckResult

SCHEMA = "afi-verify/journal/1"
NAME = "results.unfinished.jsonl"
_LOCK = ".afi-verify.lock"

Entry = tuple[CheckResult, float, str]
"""A result, the seconds that it took, and what was printed."""


class Journal:
    """The file, open for the results to come."""

    def __init__(self, path: Path, file: io.FileIO, known: dict[str, Entry]) -> None:
        self.known = known
        self._path = path
        self._file = file

    def add(self, result: CheckResult, seconds: float, output: str) -> None:
        """Write a result; when this returns, it survives whatever happens to this process.

        Raises
        ------
        UnusableError
            If it cannot be written; what was written before is kept.
        """
        self._write({"check": dataclasses.asdict(result), "seconds": seconds, "output": output})

    def _write(self, entry: object) -> None:
        try:
            rest = memoryview(json.dumps(entry).encode() + b"\n")
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise UnusableError(
                f"{self._path}: a result cannot be written ({error.strerror}). Those before it are kept: mend that, "
                "and run the same again with --resume."
            ) from None

    def finish(self) -> None:
        """Remove the file: the results are written elsewhere."""
        self._file.close()
        self._path.unlink(missing_ok=True)


@contextlib.contextmanager
def open_journal(folder: Path, plan: Plan, adapters: Sequence[Adapter], *, resume: bool) -> Iterator[Journal]:
    """Keep other runs out of ``folder``, and open its journal: with ``resume`` the one that is there.

    Raises
    ------
    UnusableError
        If another run writes there, or what is there cannot be resumed: then nothing is changed.
    """
    import filelock

    path, identity = folder / NAME, _identity(plan, adapters)
    lock = filelock.FileLock(folder / _LOCK, blocking=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise UnusableError(f"{folder}: another run is writing there. Wait for it, or choose another folder.") from None
    with contextlib.ExitStack() as stack:
        stack.callback(lock.release)
        try:
            known, end = _read(path, identity) if resume and path.exists() else ({}, 0)
            file = stack.enter_context(path.open("r+b" if end else "w+b", buffering=0))
        except OSError as error:
            raise UnusableError(f"{path} cannot be opened: {error.strerror}.") from None
        file.truncate(end)
        file.seek(end)
        journal = Journal(path, file, known)
        if not end:
            journal._write({"schema": SCHEMA, "run": identity})
        yield journal


def _read(path: Path, identity: dict[str, Any]) -> tuple[dict[str, Entry], int]:
    """Return what is known, by check id, and where the last whole line ends."""
    known: dict[str, Entry] = {}
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]  # a run that was killed may not have ended the last line
    if not whole:
        return known, 0
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            entry = json.loads(line)
            if number == 1:
                _require_same(path, entry["run"] if entry["schema"] == SCHEMA else None, identity)
                continue
            result = read_check(entry["check"])
            known[result.id] = result, float(entry["seconds"]), str(entry["output"])
        except (ValueError, KeyError, TypeError) as error:
            raise UnusableError(
                f"{path}, line {number}: no result of this version of afi-verify ({error}). To start anew, remove the "
                "file, or leave out --resume."
            ) from None
    return known, len(whole)


def _require_same(path: Path, there: dict[str, Any] | None, here: dict[str, Any]) -> None:
    if there is None:
        raise ValueError(f"the schema is not {SCHEMA}")
    different = [name for name in here if there.get(name) != here[name]]
    if different:
        raise UnusableError(
            f"{path} is of another run: {', '.join(different)} differ. Run that one again to resume it, choose another "
            "folder, or leave out --resume to start anew."
        )


def _identity(plan: Plan, adapters: Sequence[Adapter]) -> dict[str, Any]:
    """Return what the results depend on, as far as can be told: not what the code under test imports."""
    import importlib.metadata

    own = plan.own_data
    data = "" if own is None else _digest(own.atoms.tobytes(), b"" if own.weights is None else own.weights.tobytes())
    declared = [adapter.known_failures for adapter in adapters]
    return {
        "the version of afi-verify": importlib.metadata.version("afi-verify"),
        "the profile": plan.profile.name,
        "the seed": plan.seed,
        "the scenarios": list(plan.scenarios),
        "the roles": list(plan.roles),
        "the data": data,
        "the adapters": [_describe(adapter) for adapter in adapters],
        "the known failures": repr(declared),
        "the date, by which known failures are judged,": plan.today.isoformat() if any(declared) else "",
        "the adapters' files": sorted({_digest_of_file(adapter.source) for adapter in adapters}),
    }


def _describe(adapter: Adapter) -> str:
    options = {name: value for name, value in vars(adapter).items() if name not in ("functions", "known_failures")}
    return repr((sorted(options.items()), sorted(adapter.functions)))


def _digest_of_file(source: str) -> str:
    try:
        return _digest(Path(source).read_bytes())
    except OSError:
        return source  # a module


def _digest(*parts: bytes) -> str:
    return hashlib.blake2b(b"\0".join(parts), digest_size=16).hexdigest()
