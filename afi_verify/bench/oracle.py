"""How fast the one pass over the atoms is, beside what it competes with and what bounds it."""

import functools
import json
import math
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

METHODS = {
    "ours": "F v, score and trace in one pass (afi_reference.accumulator)",
    "torch.func.jvp": "jvp of the score through a logsumexp over matrix products (no trace)",
    "torch.func.vjp": "vjp of the same (no trace)",
    "naive autograd": "double backward through differences of shape (B, N, d) (no trace)",
    "two products": "x @ Y.T and W @ Y, nothing else",
    "two stacked products": "the same with 2B rows: what score and F v in one pass cannot do without",
    "one read": "the sum of all atoms",
}

_PEAK = """
import json, pathlib, re, sys
from afi_verify.bench.oracle import make_methods
name, batch, atoms, dimension, log_snr = json.loads(sys.argv[1])
methods = make_methods(batch, atoms, dimension, log_snr)
small = make_methods(batch, 16, 64, log_snr)
small[name]()  # what libraries allocate once is not the method's
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
before = peak()
methods[name]()
print(json.dumps((peak() - before) * 1024))
"""


def run_oracle_bench(
    batch: int = 4,
    atoms: int = 2048,
    dimension: int = 16384,
    repeats: int = 7,
    *,
    threads: int | None = None,
    log_snr: float = -8.0,
) -> dict[str, Any]:
    """Return times, ratios and peak memory of the one pass and of its competitors.

    Methods take turns within one run, so that what else the machine does falls on all of them. Processor time
    is reported beside elapsed time: on a loaded machine it is the steadier of the two.

    Parameters
    ----------
    threads
        Threads of torch. On a machine whose cores are shared, one gives the fairest ratios.
    log_snr
        ``log(alpha^2 / sigma^2)``. By default so low that all atoms matter, the hardest case: where few do, as
        at 0, chunks without any are spared the second product, and times depend on where those few are.

    Returns
    -------
    dict
        Ready for JSON: ``"methods"`` maps each name to ``median_s``, ``min_s``, ``processor_median_s``,
        ``ratio_to_ours`` (of medians; above 1 is slower than ours), ``processor_ratio_to_ours``,
        ``peak_bytes`` beyond the inputs (growth of the peak resident set, each in a fresh process; None where
        there is no ``/proc``) and ``peak_share_of_data``.
    """
    import torch

    threads_before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        methods = make_methods(batch, atoms, dimension, log_snr)
        times = {name: _Times() for name in methods}
        for turn in range(repeats + 1):
            for name, method in methods.items():
                times[name].measure(method, keep=turn > 0)
        used = torch.get_num_threads()
    finally:
        torch.set_num_threads(threads_before)
    del methods
    data_bytes = atoms * dimension * 4
    ours = times["ours"]
    results = {}
    for name, what in METHODS.items():
        peak = _peak_bytes(name, batch, atoms, dimension, log_snr)
        own = times[name]
        results[name] = {
            "what": what,
            "median_s": own.elapsed_median,
            "min_s": min(own.elapsed),
            "processor_median_s": own.processor_median,
            "ratio_to_ours": own.elapsed_median / ours.elapsed_median,
            "processor_ratio_to_ours": own.processor_median / ours.processor_median,
            "peak_bytes": peak,
            "peak_share_of_data": None if peak is None else peak / data_bytes,
        }
    return {
        "batch": batch,
        "atoms": atoms,
        "dimension": dimension,
        "log_snr": log_snr,
        "dtype": "float32",
        "repeats": repeats,
        "threads": used,
        "memory": "growth of the peak resident set in a fresh process per method",
        "methods": results,
    }


def make_methods(batch: int, atoms: int, dimension: int, log_snr: float) -> dict[str, Callable[[], Any]]:
    """Return each of ``METHODS`` as a function of nothing, on the same data, with uniform weights."""
    import torch

    from afi_reference.accumulator import accumulate

    generator = torch.Generator().manual_seed(0)
    draw = functools.partial(torch.randn, generator=generator)
    y = draw(atoms, dimension)
    alpha, sigma = (1 + math.exp(-log_snr)) ** -0.5, (1 + math.exp(log_snr)) ** -0.5
    x = alpha * y[:batch] + sigma * draw(batch, dimension)
    v = draw(batch, dimension)
    stacked = torch.cat([x, v])
    weights = torch.rand(2 * batch, atoms, generator=generator)

    def log_density(points: torch.Tensor) -> torch.Tensor:
        distances = (points * points).sum(1, keepdim=True) - 2 * alpha * (points @ y.T) + alpha**2 * (y * y).sum(1)
        return torch.logsumexp(-distances / (2 * sigma**2), 1).sum()

    def naive_log_density(points: torch.Tensor) -> torch.Tensor:
        differences = points[:, None, :] - alpha * y
        return torch.logsumexp(-(differences * differences).sum(2) / (2 * sigma**2), 1).sum()

    score: Callable[[torch.Tensor], torch.Tensor] = torch.func.grad(log_density)

    def by_vjp() -> Any:
        value, pull_back = torch.func.vjp(score, x)[:2]
        return value, pull_back(v)

    def by_naive_autograd() -> Any:
        points = x.clone().requires_grad_()
        (value,) = torch.autograd.grad(naive_log_density(points), points, create_graph=True)
        return value, torch.autograd.grad(value, points, v)

    return {
        "ours": lambda: accumulate(x, alpha, sigma, y, v=v),
        "torch.func.jvp": lambda: torch.func.jvp(score, (x,), (v,)),
        "torch.func.vjp": by_vjp,
        "naive autograd": by_naive_autograd,
        "two products": lambda: (x @ y.T, weights[:batch] @ y),
        "two stacked products": lambda: (stacked @ y.T, weights @ y),
        "one read": lambda: y.sum(),
    }


class _Times:
    def __init__(self) -> None:
        self.elapsed: list[float] = []
        self._processor: list[float] = []

    def measure(self, method: Callable[[], Any], *, keep: bool) -> None:
        """Run ``method`` once; the first run of each is not kept."""
        elapsed, processor = time.perf_counter(), time.process_time()
        method()
        if keep:
            self.elapsed.append(time.perf_counter() - elapsed)
            self._processor.append(time.process_time() - processor)

    @property
    def elapsed_median(self) -> float:
        return statistics.median(self.elapsed)

    @property
    def processor_median(self) -> float:
        return statistics.median(self._processor)


def _peak_bytes(name: str, *problem: float) -> int | None:
    # Not getrusage: on Linux a child's peak starts at its parent's. Elsewhere there is no such file.
    if not pathlib.Path("/proc/self/status").exists():
        return None
    command = [sys.executable, "-c", _PEAK, json.dumps([name, *problem])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(json.loads(done.stdout))
