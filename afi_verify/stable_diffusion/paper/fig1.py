"""Fig. 1: train a trace head of U-Net shape with an MLP output on given latents (Algorithm 1)."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from afi_verify.report.study import Section, Study
from afi_verify.stable_diffusion.denoiser import Denoiser
from afi_verify.stable_diffusion.latents import Latents
from afi_verify.stable_diffusion.paper.pictures import points
from afi_verify.stable_diffusion.trained_head import UNetTraceHead


def train(
    denoiser: Denoiser,
    latents: Latents,
    folder: Path,
    *,
    steps: int,
    batch: int,
    channels: tuple[int, ...],
    rate: float,
    seed: int,
    listen: Callable[[str], None],
) -> dict[str, Any]:
    """Train by least squares on ``|x_0|^2 / d`` and save the head in ``folder / "head"``.

    Returns
    -------
    dict
        The losses over training, smoothed, and that of the best constant, which a head has to beat.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head = UNetTraceHead(denoiser.event_shape, channels).to(denoiser.device)
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(head.parameters(), lr=rate)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    targets = latents.values.flatten(1).square().mean(dim=1)
    low, high = denoiser.schedule.t_min + 1, denoiser.schedule.t_max - 1
    curve, window = [], []
    for step in range(steps):
        index = torch.multinomial(latents.weights.cpu(), batch, replacement=True, generator=generator)
        index = index.to(denoiser.device)
        times = low + (high - low) * torch.rand(batch, generator=generator, dtype=torch.float64)
        x0 = latents.values[index]
        noise = torch.randn(x0.shape, generator=generator, dtype=torch.float64).to(x0)
        alpha, sigma = denoiser.noise(times, x0)
        x = (alpha * x0 + sigma * noise).float()
        loss = (head(x, times.to(x.device).float()) - targets[index].float()).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        decay.step()
        window.append(float(loss.detach()))
        if len(window) == max(1, steps // 50) or step == steps - 1:
            curve.append({"step": step + 1, "loss": sum(window) / len(window)})
            listen(f"step {step + 1} of {steps}: loss {curve[-1]['loss']:.4g}")
            window = []
    head.eval().save_pretrained(folder / "head")
    constant = float((latents.weights * (targets - (latents.weights * targets).sum()).square()).sum())
    return {"curve": curve, "constant": constant, "head": "head"}


def make_study(document: dict[str, Any], environment: dict[str, str]) -> Study:
    """Arrange the losses as a page."""
    last, constant = document["curve"][-1]["loss"], document["constant"]
    values = [row for row in document["curve"] if math.isfinite(row["loss"])]
    return Study(
        name="training of a trace head (Fig. 1)",
        answer=f"Loss {last:.4g} at the end; the best constant has {constant:.4g}.",
        tone="",
        lead="A head is worth something only as far as its loss is below that of the best constant: the squared norms "
        "of latents differ little, and a small loss alone says nothing. The checks head-mean and head-trace of "
        "afi-verify sd check (--head) say whether the trace that comes of it is right.",
        sections=(
            Section("Loss", (), (points("Mean squared error of |x₀|²/d over training.", values, "step", "loss"),)),
        ),
        command=document["command"],
        environment=environment,
    )
