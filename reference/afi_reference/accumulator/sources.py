"""Where atoms come from: chunks of an array, a memory map or a stream, and the blocks of a dask array."""

import importlib
import itertools
import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from afi_reference.accumulator.arrays import Array
from afi_reference.accumulator.state import State, merge
from afi_reference.accumulator.update import update

FAN_IN = 8
"""States merged at a time in the tree reduction over the blocks of a dask array."""


def is_dask(atoms: Any) -> bool:
    """Whether ``atoms`` is a dask array, without importing dask."""
    return type(atoms).__module__.startswith("dask.")


def is_array(atoms: Any) -> bool:
    """Whether ``atoms`` is one array, not an iterable of them."""
    return hasattr(atoms, "ndim") and hasattr(atoms, "shape")


def shards(path: str | os.PathLike[str], rows: int) -> Any:
    """Return a dask array over a ``.npy`` file of atoms, of which each worker maps the blocks that it works on.

    ``dask.array.from_array`` of a memory map would send the atoms themselves to workers of other processes.

    Parameters
    ----------
    path
        A file that every worker can read under this name, shape (N, d).
    rows
        Atoms in a block: some hundreds of MiB of them.
    """
    dask = importlib.import_module("dask")
    da = importlib.import_module("dask.array")
    mapped = np.load(path, mmap_mode="r")
    read = dask.delayed(_mapped_rows)
    edges = [*range(0, mapped.shape[0], rows), mapped.shape[0]]
    blocks = [
        da.from_delayed(read(str(path), begin, end), (end - begin, *mapped.shape[1:]), mapped.dtype)
        for begin, end in itertools.pairwise(edges)
    ]
    return da.concatenate(blocks)


def over_stream(state: State, chunks: Iterable[Any], rows: int | None) -> State:
    """Return the state after all chunks of a stream: arrays, or pairs of atoms and weights."""
    for chunk in chunks:
        atoms, weights = chunk if isinstance(chunk, tuple) else (chunk, None)
        state = update(state, atoms, weights, block=rows)
    return state


def over_dask(state: State, atoms: Any, weights: Any | None, rows: int | None) -> State:
    """Return the state after all blocks of a dask array, merged as a tree, wherever dask runs them."""
    dask = importlib.import_module("dask")

    if atoms.ndim != 2:
        raise ValueError(f"atoms must have shape (N, d); got {atoms.shape}.")
    atoms = atoms.rechunk({1: -1})
    blocks = list(atoms.to_delayed().ravel())
    parts: Iterator[Any] | list[Any] = [None] * len(blocks)
    if weights is not None:
        if weights.shape != (atoms.shape[0],):
            raise ValueError(f"weights must have shape ({atoms.shape[0]},), one per atom; got {weights.shape}.")
        if is_dask(weights):
            parts = list(weights.rechunk((atoms.chunks[0],)).to_delayed())
        else:
            edges = np.cumsum([0, *atoms.chunks[0]])
            parts = [weights[a:b] for a, b in itertools.pairwise(edges)]
    one = dask.delayed(update)
    many = dask.delayed(_merged)
    begin = dask.delayed(state)
    states = [one(begin, block, part, block=rows) for block, part in zip(blocks, parts, strict=True)]
    while len(states) > 1:
        states = [many(states[i : i + FAN_IN]) for i in range(0, len(states), FAN_IN)]
    result: State = dask.compute(states[0])[0]
    return result


def _mapped_rows(path: str, begin: int, end: int) -> Array:
    rows: Array = np.load(path, mmap_mode="r")[begin:end]
    return rows


def _merged(states: list[State]) -> State:
    total = states[0]
    for state in states[1:]:
        total = merge(total, state)
    return total
