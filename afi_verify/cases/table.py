"""The file of golden cases: safetensors, one tensor per case and name, and one JSON document about them.

Its layout is the contract with code in other languages, and docs/golden-cases.md describes it.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from afi_properties.problem import Array
from afi_verify.errors import UnusableError

CASES_SCHEMA = "afi-verify/cases/1"
"""Version of the format; the number grows when a reader of the older one would misunderstand it."""

ANSWERS_SCHEMA = "afi-verify/answers/1"
DTYPES = ("float32", "float64")
"""The dtypes of answers that the file can judge: the first index of ``attainable`` and ``margin``."""

FILE_NAME = "golden-cases.safetensors"
_METADATA = "afi-verify"


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """Golden cases in memory.

    Attributes
    ----------
    catalogue
        What the file says about its cases, as JSON values: see docs/golden-cases.md.
    tensors
        By name, ``<case>/input/<name>``, ``<case>/answer/<role>``, ``<case>/attainable/<role>``,
        ``<case>/margin/<role>``.
    """

    catalogue: Mapping[str, Any]
    tensors: Mapping[str, Array]

    @property
    def id(self) -> str:
        """What answers must name to be judged by this table: a SHA-256 of everything in it."""
        digest = hashlib.sha256(_json({k: v for k, v in self.catalogue.items() if k != "id"}).encode())
        for name in sorted(self.tensors):
            tensor = self.tensors[name]
            digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
            digest.update(np.ascontiguousarray(tensor).tobytes())
        return digest.hexdigest()


def write_table(table: Table, path: Path) -> int:
    """Write the table, whole or not at all, and return the number of bytes.

    Raises
    ------
    UnusableError
        If the file cannot be written; what was at ``path`` is then unchanged.
    """
    from safetensors.numpy import save

    # One metadata entry: the library writes several in random order, and equal tables must be equal files.
    metadata = {_METADATA: _json({**table.catalogue, "id": table.id})}
    content = save({name: np.ascontiguousarray(tensor) for name, tensor in table.tensors.items()}, metadata)
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        raise UnusableError(f"The cases cannot be written to {path}: {error.strerror}.") from None
    finally:
        partial.unlink(missing_ok=True)
    return len(content)


def read_table(path: Path) -> Table:
    """Read golden cases.

    Raises
    ------
    UnusableError
        If the file cannot be read, has another schema, or is not what was written.
    """
    metadata, tensors = _load(path)
    try:
        catalogue = json.loads(metadata[_METADATA])
    except (KeyError, ValueError):
        raise UnusableError(f"{path} holds no golden cases. Write some with: afi-verify cases export {path}") from None
    _require_schema(path, catalogue.get("schema"), CASES_SCHEMA)
    table = Table(catalogue, tensors)
    if table.id != catalogue.get("id"):
        raise UnusableError(f"{path} is not what was exported: its checksum differs. Export the cases again.")
    return table


def read_answers(path: Path, table: Table) -> dict[str, Array]:
    """Read answers to the cases of ``table``: by tensor name, ``<case>/answer/<role>``.

    Raises
    ------
    UnusableError
        If the file cannot be read, has another schema, answers other cases, or names what is not asked for.
    """
    metadata, tensors = _load(path)
    _require_schema(path, metadata.get("schema"), ANSWERS_SCHEMA)
    if metadata.get("cases") != table.catalogue["id"]:
        raise UnusableError(
            f"{path} answers other cases: its metadata say cases = {metadata.get('cases')!r}; these cases have the "
            f"id {table.catalogue['id']!r}."
        )
    asked = names_of_answers(table)
    unknown = sorted(set(tensors) - asked)
    if unknown:
        raise UnusableError(
            f"{path} holds {unknown[0]!r}, which no case asks for ({len(unknown)} such names). Answers are called "
            f"like those in the file of cases, for example {min(asked)!r}."
        )
    return tensors


def names_of_answers(table: Table) -> set[str]:
    """Return the name of every answer that is asked for, decided or not."""
    asked = {name for name in table.tensors if name.split("/")[1] == "answer"}
    return asked | {f"{case['name']}/answer/{role}" for case in table.catalogue["cases"] for role in case["undecided"]}


def _load(path: Path) -> tuple[dict[str, str], dict[str, Array]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            # A dtype that NumPy lacks (BF16) cannot be read at all, and is no dtype of ours.
            return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise UnusableError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (SafetensorError, TypeError, ValueError, AttributeError) as error:
        raise UnusableError(f"{path} is not a whole safetensors file of F32 and F64 tensors ({error}).") from None


def _require_schema(path: Path, schema: object, known: str) -> None:
    if schema != known:
        raise UnusableError(
            f"{path} has the schema {schema!r}; this version of afi-verify reads {known!r} (metadata entry 'schema')."
        )


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
