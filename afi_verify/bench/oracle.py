"""How fast the one pass over the atoms is, beside what it competes with and what bounds it."""

import importlib.util
import math
from collections.abc import Callable
from typing import Any

from afi_verify.bench.memory import peak_of_method
from afi_verify.bench.methods import (
    BOUND,
    METHODS,
    OURS,
    make_methods,
    make_numpy_methods,
    make_ours_and_bound,
)
from afi_verify.bench.timing import take_turns, torch_threads
from afi_verify.errors import UnusableError

SCHEMA = "afi-verify/bench-oracle/2"

LOG_SNRS = (-20.0, -8.0, -4.0, 0.0, 4.0, 8.0, 16.0)
"""The levels at which ours is measured beside the two products: how many atoms matter depends on the noise."""

STEPS = (2, 4, 8, 16)
"""Of the sizes to which exponents are fitted, in multiples of the comparison's: even the smallest takes well above
what a call costs whatever its size."""

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
        at other noise levels, ``"numpy"`` the same on NumPy's arrays.
    """
    with torch_threads(threads) as used:
        times = take_turns(make_methods(batch, atoms, dimension, log_snr), repeats, listen)
        listen("other noise levels")
        levels = [_at_level(batch, atoms, dimension, level, repeats) for level in LOG_SNRS]
        listen("the same on NumPy's arrays")
        on_numpy = _beside_bound(make_numpy_methods(batch, atoms, dimension, log_snr), repeats)
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
        "numpy": on_numpy,
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

    Both ranges of sizes end at sixteen times the data of ``atoms`` and ``dimension``, and begin with twice as many;
    dimensions go from a quarter to twice ``dimension``: an atom costs some dozen operations whatever its dimension,
    a tenth of the time at 2,048.
    The two stacked products are timed in turn with ours, on the same data: their exponents show what the machine
    does to work that is linear for certain.

    Returns
    -------
    dict
        Ready for JSON: ``"atoms"`` and ``"dimension"``, each with ``sizes``, ``median_s`` and ``exponent``, the slope
        of a straight line through the logarithms; and ``bound_median_s`` and ``bound_exponent`` of the products.
    """
    most = STEPS[-1]
    ranges = {
        "atoms": [(atoms * step, dimension) for step in STEPS],
        "dimension": [(atoms * most // 2, max(1, 2 * dimension * step // most)) for step in STEPS],
    }
    result = {}
    with torch_threads(threads):
        for index, (name, sizes) in enumerate(ranges.items()):
            listen(f"scaling with {name}")
            methods = {
                (method, size): function
                for size in sizes
                for method, function in make_ours_and_bound(batch, *size, log_snr).items()
            }
            times = take_turns(methods, repeats, listen)
            del methods  # before the next range draws its own data
            varied = [size[index] for size in sizes]
            ours, bound = ([times[method, size].median for size in sizes] for method in (OURS, BOUND))
            result[name] = {
                "sizes": varied,
                "fixed": sizes[0][1 - index],
                "median_s": ours,
                "exponent": _exponent(varied, ours),
                "bound_median_s": bound,
                "bound_exponent": _exponent(varied, bound),
            }
    return result


def _at_level(batch: int, atoms: int, dimension: int, log_snr: float, repeats: int) -> dict[str, Any]:
    return {"log_snr": log_snr, **_beside_bound(make_ours_and_bound(batch, atoms, dimension, log_snr), repeats)}


def _beside_bound(methods: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    times = take_turns(methods, repeats)
    ours, bound = times[OURS], times[BOUND]
    return {
        "median_s": ours.median,
        "bound_median_s": bound.median,
        "share_of_bound": ours.median / bound.median,
        "processor_share_of_bound": ours.processor_median / bound.processor_median,
    }


def _exponent(sizes: list[int], seconds: list[float]) -> float:
    """Return the slope of a straight line through the logarithms."""
    xs, ys = [math.log(size) for size in sizes], [math.log(time) for time in seconds]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    above = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True))
    return above / sum((x - x_mean) ** 2 for x in xs)
