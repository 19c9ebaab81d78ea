"""Write a small pipeline, and where its truth is to be known the latents and the exact head beside it."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from afi_verify.errors import UnusableError
from afi_verify.stable_diffusion.exact import ExactDenoiser, exact_pipeline
from afi_verify.stable_diffusion.exact_head import ExactTraceHead
from afi_verify.stable_diffusion.loading import network_of, quiet_libraries
from afi_verify.stable_diffusion.tiny import tiny_pipeline

DISTANCES = (16.0, 2.7, 0.45, 0.075)
"""Between the clusters of :func:`clustered_latents`, level by level, in units of the noise at alpha = 1."""


def write_example(folder: Path, *, kind: str, exact: int, size: int, seed: int) -> None:
    """Write the pipeline into ``folder``; with ``exact`` latents also ``latents.safetensors`` and ``head/``.

    Raises
    ------
    UnusableError
        If the kind is not known, the size is no multiple of 4, or the folder holds something already.
    """
    if size % 4:
        raise UnusableError(f"The size must be a multiple of 4, not {size}.")
    if folder.exists() and any(folder.iterdir()):
        raise UnusableError(f"{folder} is not empty; choose a new folder.")
    pipeline = tiny_pipeline(kind, size, seed)
    with quiet_libraries():
        if exact:
            latents = clustered_latents(exact, (4, size, size), seed)
            exact_pipeline(pipeline, latents)
            network: ExactDenoiser = network_of(pipeline)
            pipeline.save_pretrained(folder)
            save_file({"latents": latents}, folder / "latents.safetensors")
            ExactTraceHead.of(network).save_pretrained(folder / "head")
        else:
            pipeline.save_pretrained(folder)


def clustered_latents(count: int, shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    """Draw latents of unit variance among which every noise level finds several that are hard to tell apart.

    Shape (count, *shape), float32. Independent latents in many dimensions are so far apart that one of them decides
    nearly everywhere, and the covariance, which is what the Fisher information is about, is never seen. These are the
    leaves of a tree: clusters of clusters, at distances of :data:`DISTANCES`, which do not grow with the dimension,
    since neither does the noise along the line between two latents.
    """
    generator = torch.Generator().manual_seed(seed)
    d = torch.Size(shape).numel()
    latents = torch.randn(*shape, generator=generator).repeat(count, 1, 1, 1)
    branches = next(b for b in range(2, count + 2) if b ** len(DISTANCES) >= count)
    index = torch.arange(count)
    for level, distance in enumerate(DISTANCES):
        node = index // branches ** (len(DISTANCES) - 1 - level)
        steps = torch.randn(int(node.max()) + 1, *shape, generator=generator)
        latents += steps[node] * (distance / (2 * d) ** 0.5)
    return latents
