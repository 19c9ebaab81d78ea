"""How fast the one pass over the atoms is, beside what it competes with and what bounds it."""

import importlib.util
import math
from collections.abc import Callable
from typing import Any

from afi_verify.bench.memory import peak_of_method
from afi_verify.bench.methods import BOUND, METHODS, OURS, make_methods, make_ours
from afi_verify.bench.timing import take_turns, torch_threads
from afi_verify.errors import UnusableError

SCHEMA = "afi-verify/bench-oracle/1"

LOG_SNRS = (-20.0, -8.0, -4.0, 0.0, 4.0, 8.0, 16.0)
"""The levels at which ours is measured beside the two products: how many atoms matter depends on the noise."""

STEPS = (1, 2, 4, 8)
"""Of the sizes to which exponents are fitted."""

Listener = Callable[[str], None]


def require_torch() -> None:
    """Raise UnusableError if there is no torch: all methods run on it."""
    if importlib.util.find_spec("torch") is None:
        raise UnusableError("the benchmark runs on torch: pip install 'afi-verify[torch]'.")


def run_comparison(
    batch: int = 4,
    atoms: int = 2048,
    dimension: int = 16384,
    repeats: int = 7,
    *,
    threads: int | None = None,
    log_snr: float = -8.0,
    listen: Listener = lambda _: None,
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
        at 0, blocks without any are spared the second product.
    listen
        Told in words how far the run is.

    Returns
    -------
    dict
        Ready for JSON: ``"methods"`` maps each name to ``median_s``, ``min_s``, ``processor_median_s``,
        ``ratio_to_ours`` (of medians; above 1 is slower than ours), ``processor_ratio_to_ours``,
        ``peak_bytes`` beyond the inputs (growth of the peak resident set, each in a fresh process; None where
        there is no ``/proc``) and ``peak_share_of_data``; ``"levels"`` is ours beside the two stacked products
        at other noise levels.
    """
    with torch_threads(threads) as used:
        times = take_turns(make_methods(batch, atoms, dimension, log_snr), repeats, listen)
        listen("other noise levels")
        levels = [_at_level(batch, atoms, dimension, level, repeats) for level in LOG_SNRS]
    data_bytes = atoms * dimension * 4
    ours = times[OURS]
    results = {}
    for name, what in METHODS.items():
        listen(f"memory: {name}")
        peak = peak_of_method(name, batch, atoms, dimension, log_snr)
        own = times[name]
        results[name] = {
            "what": what,
            "median_s": own.median,
            "min_s": min(own.elapsed),
            "processor_median_s": own.processor_median,
            "ratio_to_ours": own.median / ours.median,
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
        "levels": levels,
    }


def run_scaling(
    batch: int = 4,
    atoms: int = 2048,
    dimension: int = 16384,
    repeats: int = 7,
    *,
    threads: int | None = None,
    log_snr: float = -8.0,
    listen: Listener = lambda _: None,
) -> dict[str, Any]:
    """Return how the time of the one pass grows with the atoms and with the dimension.

    Both ranges of sizes end at eight times the data of ``atoms`` and ``dimension``, and begin with as many.

    Returns
    -------
    dict
        Ready for JSON: ``"atoms"`` and ``"dimension"``, each with ``sizes``, ``median_s`` and ``exponent``, the slope
        of a straight line through the logarithms.
    """
    most = STEPS[-1]
    ranges = {
        "atoms": [(atoms * step, dimension) for step in STEPS],
        "dimension": [(atoms * most, max(1, dimension * step // most)) for step in STEPS],
    }
    result = {}
    with torch_threads(threads):
        for index, (name, sizes) in enumerate(ranges.items()):
            listen(f"scaling with {name}")
            ours = {size: make_ours(batch, *size, log_snr) for size in sizes}
            times = take_turns(ours, repeats, listen)
            medians = [times[size].median for size in sizes]
            varied = [size[index] for size in sizes]
            result[name] = {
                "sizes": varied,
                "fixed": sizes[0][1 - index],
                "median_s": medians,
                "exponent": _slope([math.log(n) for n in varied], [math.log(t) for t in medians]),
            }
            del ours
    return result


def _at_level(batch: int, atoms: int, dimension: int, log_snr: float, repeats: int) -> dict[str, Any]:
    methods = make_methods(batch, atoms, dimension, log_snr)
    times = take_turns({name: methods[name] for name in (OURS, BOUND)}, repeats)
    ours, bound = times[OURS].median, times[BOUND].median
    return {"log_snr": log_snr, "median_s": ours, "bound_median_s": bound, "share_of_bound": ours / bound}


def _slope(xs: list[float], ys: list[float]) -> float:
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    above = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True))
    return above / sum((x - x_mean) ** 2 for x in xs)
