"""More atoms than one would hold in memory: a memory map, on one process and on two dask workers."""

import contextlib
import dataclasses
import importlib
import importlib.util
import math
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from afi_verify.bench.memory import watch_anonymous
from afi_verify.bench.timing import take_turns, torch_threads
from afi_verify.errors import UnusableError

PART = 2**24
"""Numbers drawn at a time."""

WORKERS = 2

SHARDS = 8
"""Blocks of the dask array for each worker."""


def run_large(
    folder: Path,
    atoms: int = 1_000_000,
    dimension: int = 1024,
    batch: int = 4,
    repeats: int = 3,
    *,
    log_snr: float = -4.0,
    threads: int = WORKERS,
    listen: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Return time and memory of one pass over a memory map, and the same on two dask workers.

    Parameters
    ----------
    folder
        Where to put the file of atoms, in a folder of its own that is removed afterwards.
    threads
        Threads of the one process; each of the two workers has one.

    Returns
    -------
    dict
        Ready for JSON. ``anonymous_peak_bytes`` is the largest amount of the process's memory that is no file's,
        libraries included (None where there is no ``/proc``); ``largest_difference`` that of the answers, over the
        norm of each.

    Raises
    ------
    UnusableError
        If dask or the folder cannot be used.
    """
    if importlib.util.find_spec("distributed") is None:
        raise UnusableError("--large needs dask: pip install 'afi-verify[dask]'.")
    if not folder.is_dir():
        raise UnusableError(f"{folder} is no folder: give one with space for {atoms * dimension * 4 / 2**30:.1f} GiB.")
    with (
        _leaving_in_order_on_sigterm(),
        tempfile.TemporaryDirectory(prefix="afi-verify-", dir=folder) as own,
        torch_threads(threads) as used,
    ):
        path = Path(own) / "atoms.npy"
        try:
            _write_atoms(path, atoms, dimension, listen)
        except OSError as error:
            raise UnusableError(f"The atoms cannot be written to {folder}: {error}.") from None
        return _measure(path, batch, repeats, log_snr, used, listen)


@contextlib.contextmanager
def _leaving_in_order_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end the process by SystemExit, as SIGINT does by KeyboardInterrupt, so that the file is removed."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may choose what a signal does
        return

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _measure(
    path: Path, batch: int, repeats: int, log_snr: float, threads: int, listen: Callable[[str], None]
) -> dict[str, Any]:
    import torch

    from afi_reference.accumulator import accumulate, shards

    mapped = np.load(path, mmap_mode="r")
    atoms, dimension = mapped.shape
    alpha, sigma = (1 + math.exp(-log_snr)) ** -0.5, (1 + math.exp(log_snr)) ** -0.5
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(2, batch, dimension, generator=generator)
    x, v = alpha * torch.tensor(mapped[:batch]) + sigma * noise[0], noise[1]
    answers: dict[str, Any] = {}
    peaks: list[int | None] = []

    def on_one_process() -> None:
        with watch_anonymous() as watch:
            answers["one process"] = accumulate(x, alpha, sigma, mapped, v=v)
        peaks.append(watch.peak)

    rows = math.ceil(atoms / (WORKERS * SHARDS))

    def on_workers() -> None:
        answers["two workers"] = accumulate(x, alpha, sigma, shards(path, rows), v=v)

    listen("starting two dask workers")
    with _workers():
        times = take_turns({"one process": on_one_process, "two workers": on_workers}, repeats, listen)
    one, two = times["one process"], times["two workers"]
    return {
        "atoms": atoms,
        "dimension": dimension,
        "batch": batch,
        "log_snr": log_snr,
        "dtype": "float32",
        "repeats": repeats,
        "threads": threads,
        "file_bytes": path.stat().st_size,
        "one_process_s": one.median,
        "one_process_processor_s": one.processor_median,
        "two_workers_s": two.median,
        "ratio": two.median / one.median,
        "anonymous_peak_bytes": None if None in peaks else max(peak or 0 for peak in peaks),
        "largest_difference": _largest_difference(answers["one process"], answers["two workers"]),
    }


def _write_atoms(path: Path, atoms: int, dimension: int, listen: Callable[[str], None]) -> None:
    rng = np.random.default_rng(0)
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(atoms, dimension))
    rows = max(1, PART // dimension)
    told = -math.inf
    for begin in range(0, atoms, rows):
        if time.monotonic() - told > 1:
            listen(f"writing atoms: {begin / atoms:.0%}")
            told = time.monotonic()
        end = min(begin + rows, atoms)
        file[begin:end] = rng.standard_normal((end - begin, dimension), dtype=np.float32)
    file.flush()


@contextlib.contextmanager
def _workers() -> Iterator[None]:
    distributed = importlib.import_module("distributed")
    options = {"n_workers": WORKERS, "threads_per_worker": 1, "dashboard_address": None, "memory_limit": 0}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster):
        yield


def _largest_difference(left: Any, right: Any) -> float:
    largest = 0.0
    for field in dataclasses.fields(left):
        a, b = (getattr(side, field.name).double() for side in (left, right))
        a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
        largest = max(largest, float(((a - b).norm(dim=1) / a.norm(dim=1)).max()))
    return largest
