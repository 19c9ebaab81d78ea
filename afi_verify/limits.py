"""What a check may use up before it is stopped: time and memory."""

import dataclasses
import re
from pathlib import Path

from afi_verify.errors import UnusableError

SECONDS = {"quick": 300.0, "ci": 1200.0, "deep": 7200.0}
"""Of one check, by profile, where nobody says so: far more than any that ends."""

LEAST_TO_IMPORT = 30.0
"""Seconds that an import gets at least, however short a check may take."""

_SHARE = 0.75
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclasses.dataclass(frozen=True)
class Limits:
    """Of one check.

    Memory is what its process and the children of that hold in physical memory; reserved address space, of which torch
    and JAX take a lot, does not count.
    """

    seconds: float
    memory: int  # bytes
    option: str = "--"  # what the options begin with that set them

    @property
    def seconds_to_import(self) -> float:
        """Seconds in which the file of an adapter must be imported: a library such as torch alone may take some."""
        return max(self.seconds, LEAST_TO_IMPORT)


def limits_of(
    profile: str, jobs: int, seconds: float | None = None, memory: str | None = None, option: str = "--"
) -> Limits:
    """Return the limits asked for, or the usual ones: three quarters of the memory of this machine for all processes.

    Raises
    ------
    UnusableError
        If ``memory`` is not a size such as ``"2G"``, or a limit is not positive.
    """
    if seconds is not None and not seconds > 0:
        raise UnusableError(f"{option}timeout must be a positive number of seconds; got {seconds:g}.")
    usual = int(_SHARE * _physical_memory() / jobs)
    return Limits(
        SECONDS[profile] if seconds is None else seconds, usual if memory is None else _parse(memory, option), option
    )


def in_words(memory: int) -> str:
    """Return a number of bytes as people say it."""
    unit = next((unit for unit in "TGMK" if memory >= _UNITS[unit]), "")
    return f"{memory / _UNITS[unit]:.3g} {unit}{'i' if unit else ''}B"


def _parse(text: str, option: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    size = int(float(found[1]) * _UNITS[found[2].upper()]) if found else 0
    if size <= 0:
        raise UnusableError(f"{option}max-memory {text!r} is not a size; write for example 500M, 2G or 1.5GiB.")
    return size


def _physical_memory() -> int:
    import psutil

    sizes = [psutil.virtual_memory().total]
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):  # of a container
        try:
            sizes.append(int(Path(file).read_text()))
        except (OSError, ValueError):
            continue
    return min(sizes)
