"""Importing the file of an adapter in a worker process: what that does to the process harms nobody.

The main process of a run imports no such file. It learns from :func:`inventory` what there is.
"""

import dataclasses
import os
import warnings
from typing import Any

from afi_verify import surroundings
from afi_verify.adapter import Adapter
from afi_verify.backends import load_backend
from afi_verify.errors import UnusableError
from afi_verify.forks import came_back, end_if_child_of, forks
from afi_verify.loading import load_adapters
from afi_verify.stand_in import describe


@dataclasses.dataclass(frozen=True)
class Imported:
    """The adapters of a file, and which settings of the process its import changed, in words."""

    adapters: list[Adapter]
    settings: list[str]


_files: dict[str, Imported] = {}


def import_file(path: str) -> Imported:
    """Import a file, once; what that changes in the process is put back, and there again for its own functions.

    Raises
    ------
    UnusableError
        If it cannot be imported, holds no adapter, forks a process that goes on as well, or changes what the rest of
        the process cannot do without.
    """
    if path in _files:
        return _files[path]
    process, children, before = os.getpid(), forks(), surroundings.look()
    with warnings.catch_warnings():  # what it makes of warnings is for nobody else
        try:
            adapters = load_adapters(path)
        finally:
            end_if_child_of(process)
            settings, damage = surroundings.put_back_after_import(before)
    if came_back(children):
        raise UnusableError(
            f"{path}: importing it forks a process that goes on as well; let the child end with os._exit."
        )
    if damage:
        raise UnusableError(
            f"{path}: importing it changed {'; '.join(damage)}. All code in the process depends on that; do without."
        )
    _files[path] = Imported(adapters, settings)
    return _files[path]


def inventory(path: str) -> dict[str, Any]:
    """Return, as JSON, what is in a file of adapters, or under ``"unusable"`` why there is nothing."""
    try:
        imported = import_file(path)
        adapters = [_usable(adapter) for adapter in imported.adapters]
    except UnusableError as error:
        return {"unusable": str(error)}
    return {"adapters": adapters, "settings": imported.settings}


def _usable(adapter: Adapter) -> dict[str, Any]:
    load_backend(adapter.backend, adapter.dtype, adapter.device)
    return describe(adapter)
