"""The state of a process that a function should leave as it found it: looked at before a call, put back after it.

Seeds are no part of it: a random estimate may well seed a generator, and every check starts from the same state anyway.
Nor is what only adds to the state, such as a new environment variable: importing a library does that.
"""

import builtins
import contextlib
import gc
import json
import locale
import math
import operator
import os
import re
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from afi_verify.capture import printable

if os.name == "posix":
    import resource

    _LIMITS = [name for name in ("RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_NOFILE") if hasattr(resource, name)]

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGALRM", "SIGCHLD") if hasattr(signal, name)]
_STREAMS = {0: "standard input", 1: "standard output", 2: "standard error"}

Look = dict[str, Any]
"""What was seen, by what it is called."""


class _Part(NamedTuple):
    name: str
    read: Callable[[], Any]
    write: Callable[[Any], Any]


def look() -> Look:
    """Return the state of this process."""
    return {part.name: part.read() for part in _parts()}


def put_back(before: Look) -> list[str]:
    """Make the state what it was; return what had been changed, in words."""
    global harmed
    changed = []
    for part in _parts():
        if part.name not in before:  # a library was imported meanwhile
            continue
        after = part.read()
        if before[part.name] != after:
            changed.append(f"{part.name}{_difference(before[part.name], after)}")
            with contextlib.suppress(OSError, ValueError):  # gone, or not ours to set in this thread
                part.write(before[part.name])
    changed += _replaced_names()
    harmed = harmed or bool(changed)
    return changed


_own: Look = {}
"""What importing the file of the adapters changed: so it is while its functions run."""

_OF_THE_PROCESS, _OF_PYTHONS = "the standard streams of the process", "Python's standard streams"


def put_back_after_import(before: Look) -> tuple[list[str], list[str]]:
    """Make the state what it was before a file was imported; return what was changed, in words.

    The first list is of settings, which the file's own functions find again when they are called (for they may count
    on them); the second of what belongs to everybody in the process.
    """
    before = _fresh_torch() | before
    settings: list[str] = []
    damage: list[str] = []
    for part in _parts():
        after = part.read()
        if part.name not in before or before[part.name] == after:
            continue
        words = f"{part.name}{_difference(before[part.name], after)}"
        if part.name == _OF_THE_PROCESS or (part.name == _OF_PYTHONS and any(closed for _, closed in after.values())):
            damage.append(words)
        elif part.name != _OF_PYTHONS:  # to wrap those is harmless
            settings.append(words)
            _own[part.name] = after
        with contextlib.suppress(OSError, ValueError):
            part.write(before[part.name])
    return settings, damage + _replaced_names()


@contextlib.contextmanager
def as_imported() -> Iterator[None]:
    """Within the context the state is as the file of the adapters left it when it was imported."""
    if not _own:
        yield
        return
    ours = {part.name: (part, part.read()) for part in _parts() if part.name in _own}
    for name, (part, _) in ours.items():
        with contextlib.suppress(OSError, ValueError):
            part.write(_own[name])
    try:
        yield
    finally:
        for part, state in ours.values():
            with contextlib.suppress(OSError, ValueError):
                part.write(state)


harmed = False
"""Whether anything has been put back in this process; who wants to be sure starts another one."""

_kept: dict[int, int] = {}


def keep_standard_streams() -> None:
    """Keep copies of the standard streams, so that they can be put back."""
    for number in _STREAMS:
        _kept[number] = os.dup(number)


def _difference(before: Any, after: Any) -> str:
    if not isinstance(before, dict) or not isinstance(after, dict):
        return f" ({_short(before)} → {_short(after)})"
    names = [str(name) for name in before if after.get(name) != before[name]]
    return f" ({', '.join(names[:4])}{', …' if len(names) > 4 else ''})"


def _short(value: Any) -> str:
    text = re.sub(r" at 0x[0-9a-f]+", "", printable(str(value)))  # an address differs from run to run
    return text if len(text) <= _LONG else text[:_LONG] + "…"


_LONG = 80


def _parts() -> Iterator[_Part]:
    yield from _OF_PYTHON
    torch = sys.modules.get("torch")
    if hasattr(torch, "get_default_device"):  # and not half imported
        yield from _of_torch(torch)


def _folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - ten times as fast, and it is a string that is compared
    except OSError:
        return "one that is gone"


class _Environment(dict[str, str]):
    """Environment variables; what is added is no difference."""

    def __eq__(self, after: object) -> bool:
        return isinstance(after, dict) and all(after.get(name) == value for name, value in self.items())

    def __ne__(self, after: object) -> bool:  # else that of dict
        return not self == after

    __hash__ = None


class _RecursionLimit(int):
    """The limit of recursion; a larger one is no difference: torch.compile asks for one."""

    def __eq__(self, after: object) -> bool:
        return isinstance(after, int) and int(after) >= int(self)

    def __ne__(self, after: object) -> bool:
        return not self == after

    __hash__ = int.__hash__


def _streams() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, name in _STREAMS.items():
        try:
            state = os.fstat(number)
            found[name] = (state.st_dev, state.st_ino)
        except OSError:
            found[name] = None
    return found


def _restore_streams(_: Any) -> None:
    for number, copy in _kept.items():
        os.dup2(copy, number)


def _python_streams() -> dict[str, Any]:
    return {
        f"sys.{name}": (id(stream), getattr(stream, "closed", True))
        for name in ("stdin", "stdout", "stderr")
        for stream in [getattr(sys, name)]
    }


def _restore_python_streams(_: Any) -> None:
    if _kept:  # else there are no copies, and who replaced them may know why
        sys.stdout, sys.stderr = (open(number, "w", closefd=False, errors="replace") for number in (1, 2))  # noqa: SIM115


def _restore_signals(before: dict[str, Any]) -> None:
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if before[number.name] is not None:
                signal.signal(number, before[number.name])


_ON, _OFF = "on", "off"


def _collecting() -> str:
    return _ON if gc.isenabled() else _OFF


def _collect(state: str) -> None:
    (gc.enable if state == _ON else gc.disable)()


def _alarms() -> str:
    clocks = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
    return _ON if any(signal.getitimer(clock)[0] > 0 for clock in clocks) else _OFF


def _stop_alarms(before: str) -> None:
    if before == _OFF:
        for clock in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
            signal.setitimer(clock, 0)


def _umask() -> str:
    now = os.umask(0o77)
    os.umask(now)
    return f"{now:03o}"


def _limits() -> dict[str, Any]:
    return {name: resource.getrlimit(getattr(resource, name)) for name in _LIMITS}


def _restore_limits(before: dict[str, Any]) -> None:
    for name, limit in before.items():
        resource.setrlimit(getattr(resource, name), limit)


_OF_POSIX = (
    (
        _Part("the alarm clock of the process", _alarms, _stop_alarms),
        _Part("the umask", _umask, lambda mask: os.umask(int(mask, 8))),
        _Part("limits of resources", _limits, _restore_limits),
    )
    if os.name == "posix"
    else ()
)

_OF_PYTHON = (
    _Part("NumPy's error state", np.geterr, lambda state: np.seterr(**state)),
    _Part("the working directory", _folder, os.chdir),
    _Part("environment variables", lambda: _Environment(os.environ), os.environ.update),
    _Part("signal handlers", lambda: {s.name: signal.getsignal(s) for s in _SIGNALS}, _restore_signals),
    _Part(_OF_THE_PROCESS, _streams, _restore_streams),
    _Part(_OF_PYTHONS, _python_streams, _restore_python_streams),
    _Part("the limit of recursion", lambda: _RecursionLimit(sys.getrecursionlimit()), sys.setrecursionlimit),
    _Part("the interval at which threads switch", sys.getswitchinterval, sys.setswitchinterval),
    _Part("garbage collection", _collecting, _collect),
    _Part("the locale", lambda: locale.setlocale(locale.LC_ALL), lambda name: locale.setlocale(locale.LC_ALL, name)),
    _Part("the trace function", sys.gettrace, sys.settrace),
    _Part("the profile function", sys.getprofile, sys.setprofile),
    *_OF_POSIX,
)


def _of_torch(torch: Any) -> Iterator[_Part]:
    yield _Part("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype)
    yield _Part("torch's default device", torch.get_default_device, torch.set_default_device)
    yield _Part("torch's number of threads", torch.get_num_threads, torch.set_num_threads)
    yield _Part("torch's gradient mode", torch.is_grad_enabled, torch.set_grad_enabled)


def _fresh_torch() -> Look:
    """Return what torch is like after its import."""
    torch: Any = sys.modules.get("torch")
    if not hasattr(torch, "get_default_device"):
        return {}
    return {
        "torch's default dtype": torch.float32,
        "torch's default device": torch.device("cpu"),
        "torch's gradient mode": True,
    }


_names: dict[str, dict[str, Any]] = {}
_getters: dict[str, Callable[[dict[str, Any]], tuple[Any, ...]]] = {}


def _remember(module: types.ModuleType) -> None:
    functions = _functions(module)
    _names[module.__name__], _getters[module.__name__] = functions, operator.itemgetter(*functions)


def _replaced_names() -> list[str]:
    """Put back public functions of libraries that were replaced; return which, in words."""
    replaced = []
    for name in ("builtins", "json", "math", "os", "time", "numpy", "numpy.linalg", "torch"):
        module = sys.modules.get(name)
        if module is None:
            continue
        if name not in _names:
            _remember(module)
        present, functions, get = vars(module), _names[name], _getters[name]
        with contextlib.suppress(KeyError):
            if get(present) == tuple(functions.values()):  # a hundred times a second and more: so in C, not in Python
                continue
        for key, value in functions.items():
            if present.get(key) is not value:
                setattr(module, key, value)
                replaced.append(f"{name}.{key}, which it replaced")
    return replaced


def _functions(module: types.ModuleType) -> dict[str, Any]:
    # Those of torch that are written in Python are wrapped by other libraries, for good reasons.
    kinds = (types.BuiltinFunctionType,) if module.__name__ == "torch" else (object,)
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and callable(value) and isinstance(value, kinds)
    }


for _module in (builtins, json, math, os, time, np, np.linalg):
    _remember(_module)
