"""Fig. 4 and 5: adjoint guidance with the VJP and with AFI-EA, by a score of images, against the time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from afi_verify.implementations.torch_adjoint import Operator, endpoint_operator, guided_sample, trivial_operator
from afi_verify.implementations.torch_solvers import step_times
from afi_verify.report.study import Section, Study, Table
from afi_verify.stable_diffusion.denoiser import Denoiser
from afi_verify.stable_diffusion.latents import decode
from afi_verify.stable_diffusion.ledger import read_rows, run_items
from afi_verify.stable_diffusion.levels import spread_times
from afi_verify.stable_diffusion.paper.losses import Score
from afi_verify.stable_diffusion.paper.pictures import gallery, points, thumbnail
from afi_verify.stable_diffusion.processes import place, together
from afi_verify.stable_diffusion.products import Products

METHODS = ("vjp", "afi-ea", "trivial")
"""By VJP (eq. 19), by AFI-EA (eq. 20), and with F = I/σ²: a method has to beat the last to be worth anything."""


def guide(
    denoiser: Denoiser,
    score: Score,
    folder: Path,
    settings: dict[str, Any],
    *,
    counts: Sequence[int],
    seeds: int,
    steps: int,
    adjoint_steps: int,
    strength: float,
    listen: Callable[[str], None],
) -> list[dict[str, Any]] | None:
    """Sample with each method and number of guided steps, and measure score and time.

    Guided steps are in the middle of the ``steps``, as the paper's 15 to 35 of 50.

    Returns
    -------
    list of dict or None
        The rows, in the first process.
    """
    ends = spread_times(denoiser.schedule, 5)
    times = step_times(denoiser.schedule, ends[-1], ends[0], steps)
    products = Products(denoiser.eps)

    def loss(x: Tensor) -> Tensor:
        return -score(decode(denoiser.pipeline, x / denoiser.alpha(times[-1]))).to(x)

    def by_vjp(_end: Tensor) -> Operator:
        return lambda x, t, v: products.vjp(x, v, t) / denoiser.sigma(t)

    makers: dict[str, Callable[[Tensor], Operator]] = {
        "vjp": by_vjp,
        "afi-ea": lambda end: endpoint_operator(denoiser.schedule, products.eps, end),
        "trivial": lambda _end: trivial_operator(denoiser.schedule),
    }
    items = [json.dumps([m, n, s]) for s in range(seeds) for n in counts for m in (METHODS if n else ("none",))]

    def work(item: str) -> dict[str, Any]:
        method, count, seed = json.loads(item)
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(1, *denoiser.event_shape, generator=generator, dtype=torch.float64).to(denoiser.device)
        first = max(0, (steps - count) // 2)
        window = range(first, min(steps, first + count))
        start = time.perf_counter()
        x = guided_sample(
            denoiser.sigma(times[0]) * noise,
            products.eps,
            makers.get(method, by_vjp),
            denoiser.schedule,
            times,
            loss,
            strength=strength,
            window=window,
            num_steps=adjoint_steps,
        )
        seconds = time.perf_counter() - start
        with torch.no_grad():
            image = decode(denoiser.pipeline, x / denoiser.alpha(times[-1]))
            reached = float(score(image)[0])
        finite = bool(x.isfinite().all()) and reached == reached
        return {
            "method": method,
            "guided_steps": count,
            "seed": seed,
            "score": reached if finite else None,
            "seconds": seconds,
            "picture": thumbnail(image[0].nan_to_num()),
        }

    here = place()
    with together():
        run_items(folder, settings, items, work, rank=here.rank, world=here.world, listen=listen)
    if here.rank:
        return None
    rows = {row["item"]: row for row in read_rows(folder)}
    return [rows[item] for item in items]


def make_study(document: dict[str, Any], environment: dict[str, str]) -> Study:
    """Arrange the rows as a page: score against time."""
    rows = document["rows"]
    lines = []
    for method, count in dict.fromkeys((row["method"], row["guided_steps"]) for row in rows):
        some = [row for row in rows if (row["method"], row["guided_steps"]) == (method, count)]
        scores = [row["score"] for row in some if row["score"] is not None]
        mean = f"{sum(scores) / len(scores):.4f}" if scores else "–"
        broken = str(len(some) - len(scores))
        seconds = sum(row["seconds"] for row in some) / len(some)
        lines.append((method, str(count), mean, f"{seconds:.3g}", broken))
    finite = [row for row in rows if row["score"] is not None]
    most = max(row["guided_steps"] for row in rows)
    last = [row for row in rows if row["seed"] == 0 and row["guided_steps"] in (0, most)]
    pictures = [(f"{row['method']} {row['guided_steps']}", row["picture"]) for row in last]
    columns = ("Method", "Guided steps", "Mean score", "Seconds", "Not finite")
    return Study(
        name="adjoint guidance (Fig. 4 and 5)",
        answer=f"Score {document['settings']['score']} with {len(METHODS)} operators, up to {most} guided steps.",
        tone="",
        lead="Higher scores are better. The operator F = I/σ² costs nothing: what AFI-EA or the VJP add is what they "
        "have over it.",
        sections=(
            Section(
                "Score and time",
                (),
                (
                    points("Each sample.", finite, "seconds", "score", "method"),
                    gallery("Seed 0 without guidance and with the most of it.", pictures),
                ),
                (Table("Means over seeds", columns, tuple(lines)),),
            ),
        ),
        command=document["command"],
        environment=environment,
    )
