"""Reads a parsed ``results.json`` back into dataclasses, or says where it is wrong."""

import dataclasses
import functools
import heapq
import math
import types
import typing
from enum import Enum
from typing import Any

from afi_verify.report.overview import rank
from afi_verify.results import SCHEMA, CheckResult, Point, Results, count_verdicts

_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}

MOST_WHOLE = 1000
"""Checks whose points, margins and counterexamples are kept; of the others, the verdict and its figures."""

_SHORT = 300  # characters of the message of a check that is not kept whole


def read_results(document: object) -> Results:
    """Turn the parsed JSON of one run into `Results`.

    Fields that this version does not know are ignored, so that additions to the format break no reader.

    Parameters
    ----------
    document : object
        What ``json.loads`` returned.

    Returns
    -------
    Results
        The same data with types; ``"nan"`` and ``"inf"`` have become floats.

    Raises
    ------
    ValueError
        If the schema is another one, a field is missing or has the wrong type, a verdict is unknown, or a
        stated sum differs from the checks that are listed.
    """
    document = require_schema(document)
    collector = Collector()
    adapters = _expect(list, document.get("adapters", []), "adapters")
    for number, adapter in enumerate(adapters):
        checks = _expect(dict, adapter, f"adapters[{number}]").get("checks")
        for check in _expect(list, checks, f"adapters[{number}].checks"):
            collector.add(number, check)
    return collector.finish(document)


def require_schema(document: object) -> dict[str, Any]:
    """Return a parsed ``results.json`` if it is an object of the schema that this version reads.

    Raises
    ------
    ValueError
        If it is not.
    """
    if not isinstance(document, dict):
        raise ValueError(f"results.json must hold a JSON object, not {_kind(document)}")
    schema = document.get("schema")
    if schema != SCHEMA:
        raise ValueError(
            f"cannot read results with schema {schema!r}: this version of afi-verify reads {SCHEMA!r}; "
            "run the verification again, or use the version that wrote the file"
        )
    return document


class Collector:
    """Takes the checks of a run one by one and keeps the details of the most urgent alone: memory stays bounded."""

    def __init__(self, most: int = MOST_WHOLE) -> None:
        self._most = most
        self._checks: dict[int, list[CheckResult]] = {}
        self._whole: list[tuple[tuple[float, ...], int, int]] = []  # a heap, the least urgent first

    def add(self, adapter: int, entry: object) -> None:
        """Take the parsed JSON of the next check of the adapter with this number.

        Raises
        ------
        ValueError
            If a field is missing or has the wrong type.
        """
        checks = self._checks.setdefault(adapter, [])
        check = typing.cast("CheckResult", _build(CheckResult, entry, f"adapters[{adapter}].checks[{len(checks)}]"))
        key = (tuple(-part for part in rank(check)), -adapter, -len(checks))  # of equals, the earlier is kept
        checks.append(check)
        heapq.heappush(self._whole, key)
        if len(self._whole) > self._most:
            _, number, index = heapq.heappop(self._whole)
            self._checks[-number][-index] = _slim(self._checks[-number][-index])

    def finish(self, document: dict[str, Any]) -> Results:
        """Return the results, given everything but the checks.

        Raises
        ------
        ValueError
            If a field is missing or has the wrong type, or a stated sum differs from the checks.
        """
        entries = _expect(list, document.get("adapters", []), "adapters")
        for number, entry in enumerate(entries):
            _expect(list, _expect(dict, entry, f"adapters[{number}]").get("checks"), f"adapters[{number}].checks")
        bare = {"adapters": [{**entry, "checks": []} for entry in entries]} if "adapters" in document else {}
        results = typing.cast("Results", _build(Results, {**document, **bare}, ""))
        adapters = tuple(
            dataclasses.replace(adapter, checks=tuple(self._checks.get(number, ())))
            for number, adapter in enumerate(results.adapters)
        )
        results = dataclasses.replace(results, adapters=adapters)
        _check_sum(document, count_verdicts(results.checks), "sum")
        for number, (adapter, entry) in enumerate(zip(adapters, entries, strict=True)):
            _check_sum(entry, count_verdicts(adapter.checks), f"adapters[{number}].sum")
        return results


def _slim(check: CheckResult) -> CheckResult:
    message = check.message if len(check.message) <= _SHORT else check.message[:_SHORT] + " …"
    bare: dict[str, Any] = {"margins": (), "margins_by_dimension": (), "points": (), "simplest": None, "worst": None}
    return dataclasses.replace(check, message=message, **bare)


def read_check(document: object) -> CheckResult:
    """Turn the parsed JSON of one check into a `CheckResult`.

    Raises
    ------
    ValueError
        If a field is missing or has the wrong type.
    """
    return typing.cast("CheckResult", _build(CheckResult, document, "check"))


def _check_sum(entry: dict[str, Any], counted: dict[str, int], where: str) -> None:
    # A report whose sums do not add up would hide what did not run, so it is not drawn at all.
    if entry.get("sum", counted) != counted:
        raise ValueError(f"{where}: says {entry['sum']!r}, but the checks listed add up to {counted!r}")


def _build(kind: Any, value: Any, where: str) -> Any:
    if kind is str or kind is int:  # first, since they are most of a large file
        return _expect(kind, value, where)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _build_dataclass(kind, value, where)
    if kind is float:
        return _build_float(value, where)
    if isinstance(kind, type) and issubclass(kind, Enum):
        known = [member.value for member in kind]
        if value not in known:
            raise ValueError(f"{where}: {value!r} is none of {known}")
        return kind(value)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return None if value is None else _build(arguments[0], value, where)
    if origin is tuple:
        items = _expect(list, value, where)
        return tuple(_build(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(items))
    if origin is dict:
        mapping = _expect(dict, value, where)
        return {key: _build(arguments[1], item, f"{where}[{key!r}]") for key, item in mapping.items()}
    return _expect(kind, value, where)


def _build_dataclass(kind: type, value: Any, where: str) -> Any:
    if kind is Point and isinstance(value, list):
        if [type(item) for item in value] == _USUAL_POINT:
            return Point(*value)  # millions of them, of a kind that needs no conversion
        value = _named(value, where)
    entry = _expect(dict, value, where or "results")
    hints = _hints(kind)
    arguments = {}
    for field in dataclasses.fields(kind):
        inner = f"{where}.{field.name}" if where else field.name
        if field.name in entry:
            arguments[field.name] = _build(hints[field.name], entry[field.name], inner)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{inner}: missing")
    return kind(**arguments)


def _named(row: list[Any], where: str) -> dict[str, Any]:
    """Return a row of numbers, as which ``results.json`` holds a point, with the names of its fields."""
    names = [field.name for field in dataclasses.fields(Point)]
    if len(row) != len(names):
        raise ValueError(f"{where}: expected {len(names)} numbers ({', '.join(names)}), got {len(row)}")
    return dict(zip(names, row, strict=True))


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    # Looked up for each of tens of thousands of points, and slow.
    return typing.get_type_hints(kind)


def _build_float(value: Any, where: str) -> float:
    if isinstance(value, str) and value in _NON_FINITE:
        return _NON_FINITE[value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{where}: expected a number, 'nan', 'inf' or '-inf', got {_kind(value)}")
    return float(value)


def _expect(kind: type, value: Any, where: str) -> Any:
    # bool is an int to isinstance, but a seed of true is a mistake.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{where}: expected {_NAMES[kind]}, got {_kind(value)}")
    # JSON can hold half a surrogate pair, UTF-8 cannot.
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


_USUAL_POINT = [float, float, float, int, int]

_NAMES: dict[type, str] = {
    str: "a string",
    int: "an integer",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def _kind(value: object) -> str:
    return "null" if value is None else _NAMES.get(type(value), "a number")
