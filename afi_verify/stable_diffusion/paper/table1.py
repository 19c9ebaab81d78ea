"""Table 1: time and memory of one evaluation of trace and operator, by VJP and by the analytical formulas."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from afi_verify.implementations.torch_dirac import fisher_trace_matching, fisher_vector_product_endpoint
from afi_verify.report.study import Section, Study, Table
from afi_verify.stable_diffusion.products import EpsFn, Products

SCHEMA = "afi-verify/sd-table1/1"


def measure(
    eps: EpsFn,
    head: Callable[[Tensor, Any], Tensor] | None,
    x: Tensor,
    level: tuple[float, float, float],
    repeats: int,
    listen: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Time each way to a trace or a product, once per point of ``x``.

    Parameters
    ----------
    x
        Shape (B, C, H, W): B = 1 is the paper's setting.
    level
        ``(t, alpha, sigma)``.
    repeats
        Timings of each, after one that does not count.

    Returns
    -------
    list of dict
        One row per method: seconds (median and quartiles), bytes that its graph keeps, bytes of the GPU at its peak.
    """
    t, alpha, sigma = level
    products, d = Products(eps, rows=len(x)), x[0].numel()
    v = torch.randn(x.shape, generator=torch.Generator().manual_seed(0)).to(x)
    prediction, x0 = products.eps(x, t), torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).to(x)

    def matching() -> Tensor:
        assert head is not None
        with torch.no_grad():
            return fisher_trace_matching(x, alpha, sigma, products.eps(x, t), head(x, t).to(x))

    def endpoint() -> Tensor:
        return fisher_vector_product_endpoint(x, v, x0, products.eps(x, t), alpha, sigma)

    ways: list[tuple[str, str, Callable[[], Any], float]] = [
        ("prediction", "the network, forward", lambda: products.eps(x, t), 1),
        ("operator", "VJP", lambda: products.vjp(x, v, t), 1),
        ("operator", "JVP", lambda: products.jvp(x, v, t), 1),
        ("operator", "AFI-EA", endpoint, 1),
        (
            "operator",
            "AFI-EA, prediction known",
            lambda: fisher_vector_product_endpoint(x, v, x0, prediction, alpha, sigma),
            1,
        ),
        ("trace", "VJP, all d entries", lambda: products.quadratic(x, v, t), d),
        ("trace", "VJP, one random probe", lambda: products.quadratic(x, v, t), 1),
    ]
    if head is not None:
        ways.append(("trace", "AFI-TM", matching, 1))
    rows = []
    for quantity, method, run, times in ways:
        listen(f"{quantity}: {method}")
        seconds, peak = _timed(run, repeats, x.device)
        rows.append(
            {
                "quantity": quantity,
                "method": method,
                "seconds": statistics.median(seconds) * times,
                "low": min(seconds) * times,
                "high": max(seconds) * times,
                "extrapolated_from": 1 if times > 1 else None,
                "graph_bytes": _graph(run),
                "peak_bytes": peak,
            }
        )
    return rows


def _timed(run: Callable[[], Any], repeats: int, device: torch.device) -> tuple[list[float], int | None]:
    def synchronised() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    run()
    synchronised()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        synchronised()
        seconds.append(time.perf_counter() - start)
    return seconds, int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else None


def _graph(run: Callable[[], Any]) -> int:
    """Return the bytes that are kept for a backward pass: what memory a method takes beyond the forward pass's."""
    kept = 0

    def count(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        run()
    return kept


def ratios(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return how many times the analytical ways are faster than the full trace and the product by VJP."""
    seconds = {(row["quantity"], row["method"]): row["seconds"] for row in rows}
    found = {"operator": seconds["operator", "VJP"] / seconds["operator", "AFI-EA"]}
    if ("trace", "AFI-TM") in seconds:
        found["trace"] = seconds["trace", "VJP, all d entries"] / seconds["trace", "AFI-TM"]
    return found


def make_study(document: dict[str, Any], environment: dict[str, str]) -> Study:
    """Arrange a document with ``rows``, ``ratios``, ``what`` and ``command`` as a page."""
    rows = [
        (
            row["quantity"],
            row["method"],
            f"{row['seconds']:.4g}" + (" (one of d products, times d)" if row["extrapolated_from"] else ""),
            f"{row['low']:.4g} to {row['high']:.4g}",
            f"{row['graph_bytes'] / 2**20:.1f}",
            "–" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 2**20:.0f}",
        )
        for row in document["rows"]
    ]
    told = ", ".join(f"{name} {ratio:.3g} times" for name, ratio in document["ratios"].items())
    return Study(
        name="time and memory of the Fisher information (Table 1)",
        answer=f"Faster by the analytical formulas than by VJP: {told}.",
        tone="",
        lead=document["what"]
        + " Time does not depend on the weights. How accurate a method is stands elsewhere: AFI-EA "
        "is further from the truth than F = I/σ² nearly everywhere, and one random probe estimates the trace, too.",
        sections=(
            Section(
                "Table 1",
                (),
                (),
                (
                    Table(
                        "Per point",
                        ("Quantity", "Method", "Seconds", "Range", "Graph, MiB", "GPU at its peak, MiB"),
                        tuple(rows),
                    ),
                ),
            ),
        ),
        command=document["command"],
        environment=environment,
    )
