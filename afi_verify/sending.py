"""Adapters as bytes, for another process: by the file they come from, or by value."""

import dataclasses
import importlib
import pickle
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from afi_verify.adapter import Adapter
from afi_verify.errors import UnusableError
from afi_verify.untrusted import import_file


@dataclasses.dataclass(frozen=True)
class _InFile:
    """An adapter that a file makes, or a module of ours; its content tells whether it was changed afterwards."""

    source: str
    key: tuple[str, str]
    content: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class _ByValue:
    options: dict[str, Any]
    functions: list[tuple[str, Callable[..., Any]]]


@dataclasses.dataclass(frozen=True)
class Parcel:
    """An adapter as bytes, or why it cannot be sent."""

    content: bytes | None
    source: str
    refusal: str = ""


Parcels: TypeAlias = Sequence[Parcel]


def pack_all(adapters: Sequence[Adapter]) -> list[Parcel]:
    """Return each adapter as bytes, or why it cannot be sent."""
    packed = []
    for adapter in adapters:
        try:
            packed.append(Parcel(pack(adapter), adapter.source))
        except UnusableError as error:
            packed.append(Parcel(None, adapter.source, str(error)))
    return packed


def pack(adapter: Adapter) -> bytes:
    """Return an adapter as bytes that :func:`unpack` turns back into it in another process.

    Functions of an importable module go by name; those of ``__main__``, closures and lambdas by value.

    Raises
    ------
    UnusableError
        If a function, or something that it refers to, cannot be sent.
    """
    if adapter.source:
        key = (adapter.name, adapter.dtype)
        return pickle.dumps(_InFile(adapter.source, key, _content(adapter)))
    import cloudpickle

    options = {name: value for name, value in vars(adapter).items() if name != "functions"}
    functions = [(role, provided.function) for (role, _), provided in adapter.functions.items()]
    try:
        packed: bytes = cloudpickle.dumps(_ByValue(options, functions))
    except Exception as error:  # whatever the functions refer to decides what it is
        raise UnusableError(f"it cannot be sent to another process ({type(error).__name__}: {error})") from None
    return packed


def unpack(packed: bytes) -> Adapter:
    """Return the adapter that was packed. Only for bytes from the process that started this one.

    Raises
    ------
    UnusableError
        If what the adapter needs cannot be imported here.
    """
    try:
        parcel = pickle.loads(packed)  # noqa: S301 - from our own parent process
        return _from_source(parcel) if isinstance(parcel, _InFile) else _from_value(parcel)
    except UnusableError:
        raise
    except Exception as error:
        raise UnusableError(f"it cannot be received by another process ({type(error).__name__}: {error})") from None


def _from_source(parcel: _InFile) -> Adapter:
    in_file = parcel.source.endswith(".py")
    known = import_file(parcel.source).adapters if in_file else importlib.import_module(parcel.source).ADAPTERS
    for adapter in known:
        if (adapter.name, adapter.dtype) == parcel.key and _content(adapter) == parcel.content:
            return adapter
    raise UnusableError(f"{parcel.source} does not make it as it is here; was it changed after it was loaded?")


def _content(adapter: Adapter) -> tuple[Any, ...]:
    """Return what may have been added since the adapter was made."""
    return (tuple(sorted(adapter.functions)), tuple(adapter.known_failures))


def _from_value(parcel: _ByValue) -> Adapter:
    adapter = Adapter(parcel.options["name"])
    vars(adapter).update(parcel.options)
    for role, function in parcel.functions:
        adapter.provides(role, function)
    return adapter
