"""Sizes of memory as people write them, and how many samples fit at once."""

import re

from afi_verify.errors import UnusableError

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def parse_size(text: str | None) -> int | None:
    """Return the bytes that ``6GiB``, ``500 MB`` or ``1e9`` stands for; None for None.

    Raises
    ------
    UnusableError
        If it stands for no positive number of bytes.
    """
    if text is None:
        return None
    match = re.fullmatch(r"\s*([0-9.]+(?:e[0-9]+)?)\s*([a-z]*)\s*", text, re.IGNORECASE)
    try:
        size = int(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    except (KeyError, ValueError):
        size = 0
    if size < 1:
        raise UnusableError(f"{text!r} is no size of memory; write for example 6GiB, 500MB or 1000000.")
    return size
