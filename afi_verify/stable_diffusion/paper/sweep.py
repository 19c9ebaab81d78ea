"""Fig. 2 and 3: likelihoods of generated images, over guidance scales with their CLIP score, and by seed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from afi_verify.report.study import Gallery, Plot, Section, Study, Table
from afi_verify.stable_diffusion.denoiser import Denoiser
from afi_verify.stable_diffusion.latents import decode, generate
from afi_verify.stable_diffusion.ledger import read_rows, run_items
from afi_verify.stable_diffusion.paper.losses import Clip, clip_score
from afi_verify.stable_diffusion.paper.nll import negative_log_likelihood
from afi_verify.stable_diffusion.paper.pictures import gallery, points, thumbnail
from afi_verify.stable_diffusion.processes import place, together
from afi_verify.stable_diffusion.products import Products, rows_for


def sweep(
    pipeline: Any,
    folder: Path,
    settings: dict[str, Any],
    *,
    prompts: Sequence[str],
    guidances: Sequence[float],
    seeds: int,
    generation_steps: int,
    steps: int,
    probes: int,
    clip: Clip | None,
    head: Any = None,
    latent_size: tuple[int, int] | None = None,
    budget: int | None = None,
    listen: Callable[[str], None],
) -> list[dict[str, Any]] | None:
    """Draw an image for each prompt, guidance scale and seed, and measure it; kept as they come, shared by processes.

    The likelihood is that of the prompt's own model (guidance 1): a guided prediction is not the score of a law.

    Returns
    -------
    list of dict or None
        The rows, in the first process.
    """
    items = [json.dumps([p, g, s]) for p in range(len(prompts)) for g in guidances for s in range(seeds)]

    def work(item: str) -> dict[str, Any]:
        prompt, guidance, seed = json.loads(item)
        drawn = generate(
            Denoiser(pipeline, prompts[prompt], guidance=guidance, latent_size=latent_size), 1, seed, generation_steps
        )
        model = Denoiser(pipeline, prompts[prompt], latent_size=latent_size)
        products = Products(model.eps, rows_for(model.eps, drawn.values, model.schedule.t_max / 2, budget))
        found: dict[str, Any] = negative_log_likelihood(
            model, products, drawn.values, steps=steps, probes=probes, seed=seed, head=head
        )
        with torch.no_grad():
            image = decode(pipeline, drawn.values)
            score = None if clip is None else float(clip_score(clip, prompts[prompt])(image)[0])
        return {
            "prompt": prompt,
            "guidance": guidance,
            "seed": seed,
            **found,
            "clip_score": score,
            "picture": thumbnail(image[0]),
        }

    here = place()
    with together():
        run_items(folder, settings, items, work, rank=here.rank, world=here.world, listen=listen)
    if here.rank:
        return None
    rows = {row["item"]: row for row in read_rows(folder)}
    return [rows[item] for item in items]


def guidance_study(document: dict[str, Any], environment: dict[str, str]) -> Study:
    """Arrange Fig. 2 as a page: bits per dimension against CLIP score."""
    rows = document["rows"]
    by_scale = sorted({row["guidance"] for row in rows})
    lines = []
    for scale in by_scale:
        some = [row for row in rows if row["guidance"] == scale]
        scores = [row["clip_score"] for row in some if row["clip_score"] is not None]
        bits = sum(row["bits_per_dim"] for row in some) / len(some)
        lines.append(
            (f"{scale:g}", f"{bits:.4f}", f"{sum(scores) / len(scores):.4f}" if scores else "–", str(len(some)))
        )
    known = [row for row in rows if row["clip_score"] is not None]
    plots: list[Plot | Gallery] = (
        [points("Each image: likelihood and CLIP score.", known, "clip_score", "bits_per_dim", "guidance")]
        if known
        else []
    )
    plots += [points("Each image: likelihood by guidance scale.", rows, "guidance", "bits_per_dim")]
    firsts = [next(row for row in rows if row["guidance"] == scale) for scale in by_scale][:8]
    plots += [gallery("The first image of each scale.", [(f"{row['guidance']:g}", row["picture"]) for row in firsts])]
    columns = ("Guidance", "Bits per dimension", "CLIP score", "Images")
    return Study(
        name="likelihood and CLIP score over guidance scales (Fig. 2)",
        answer=f"{len(rows)} images at {len(by_scale)} guidance scales.",
        tone="",
        lead="Likelihoods are those of the prompt's own model, guidance 1, along its flow."
        + ("" if known else " No CLIP model was given (--clip), so that there are no CLIP scores."),
        sections=(Section("Means", (), tuple(plots), (Table("", columns, tuple(lines)),)),),
        command=document["command"],
        environment=environment,
    )


def seed_study(document: dict[str, Any], environment: dict[str, str]) -> Study:
    """Arrange Fig. 3 as a page: the images of one prompt by their likelihood."""
    rows = sorted(document["rows"], key=lambda row: row["bits_per_dim"])
    lines = tuple((str(row["seed"]), f"{row['bits_per_dim']:.4f}", f"±{row['error']:.2g}") for row in rows)
    chosen = rows if len(rows) <= 8 else [*rows[:4], *rows[-4:]]
    pictures = [(f"seed {row['seed']}", row["picture"]) for row in chosen]
    return Study(
        name="likelihood by seed (Fig. 3)",
        answer=f"From {rows[0]['bits_per_dim']:.4f} (seed {rows[0]['seed']}) to {rows[-1]['bits_per_dim']:.4f} "
        f"(seed {rows[-1]['seed']}) bits per dimension, {len(rows)} seeds.",
        tone="",
        lead=f"Prompt: {document['settings']['prompts'][0]!r}. Differences below the error of the probes say nothing.",
        sections=(
            Section("Images", (), (gallery("The likeliest first.", pictures),)),
            Section("All seeds", (), (), (Table("", ("Seed", "Bits per dimension", "Two standard errors"), lines),)),
        ),
        command=document["command"],
        environment=environment,
    )
