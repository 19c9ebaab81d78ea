"""Table 1 at the size of Stable Diffusion 1.5, with random weights: time does not depend on them.

``python benchmarks/table1.py DIR`` writes results.json and index.html. On a CUDA GPU the U-Net has its full size
(860 million parameters) and computes in float16; on a CPU it is reduced, which the page says. ``--full`` runs the full
size on a CPU, too.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel

from afi_verify.report.study import write_study
from afi_verify.runner import environment
from afi_verify.stable_diffusion.paper.table1 import SCHEMA, make_study, measure, ratios
from afi_verify.stable_diffusion.trained_head import UNetTraceHead

# The public configuration of stable-diffusion-v1-5/unet; whatever is not here is diffusers' default, as there.
SD15 = {
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
}
REDUCED = SD15 | {"sample_size": 32, "block_out_channels": (64, 128, 256, 256)}


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--full", action="store_true", help="the full size on a CPU, too")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    cuda = torch.cuda.is_available()
    full = cuda or options.full
    configuration: dict[str, Any] = SD15 if full else REDUCED
    device, dtype = ("cuda", torch.float16) if cuda else ("cpu", torch.float32)
    torch.manual_seed(0)
    with torch.device(device):
        unet = UNet2DConditionModel(**configuration).to(dtype).eval().requires_grad_(False)
        size = configuration["sample_size"]
        head = UNetTraceHead((4, size, size), (64, 128), 256).to(dtype).eval().requires_grad_(False)
        text = torch.randn(1, 77, configuration["cross_attention_dim"], dtype=dtype)
        x = torch.randn(1, 4, size, size)

    def eps(x: torch.Tensor, t: Any) -> torch.Tensor:
        answer = unet(x.to(dtype), t, encoder_hidden_states=text.expand(len(x), -1, -1), return_dict=False)[0]
        return answer.to(x.dtype)

    rows = measure(eps, head, x, (500.0, 0.5, 0.75**0.5), options.repeats, lambda what: print(what, file=sys.stderr))
    parameters = sum(parameter.numel() for parameter in unet.parameters()) / 1e6
    where = torch.cuda.get_device_name() if cuda else "a CPU"
    kind = "the full-size U-Net of Stable Diffusion 1.5" if full else "a REDUCED U-Net of Stable Diffusion 1.5's design"
    document = {
        "schema": SCHEMA,
        "what": f"On {where}: {kind} ({parameters:.0f} million parameters, latents of 4×{size}×{size}, "
        f"{str(dtype).removeprefix('torch.')}), batch 1, {torch.get_num_threads()} threads, "
        f"median of {options.repeats}.",
        "full_size": full,
        "rows": rows,
        "ratios": ratios(rows),
        "command": "python benchmarks/table1.py DIR" + " --full" * options.full,
        "environment": environment(),
    }
    print(write_study(make_study(document, document["environment"]), document, options.folder))


if __name__ == "__main__":
    main()
