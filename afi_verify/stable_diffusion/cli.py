"""The command line: ``afi-verify sd``."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(name="sd", help="Check latent diffusion models through diffusers.", no_args_is_help=True)

UNUSABLE = 2

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A folder in the layout of diffusers, or a hub id.")]
Dtype = Annotated[str, typer.Option(help="float64, float32, float16 or bfloat16: of the network.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps.")]
Variant = Annotated[str | None, typer.Option(metavar="NAME", help="Of the weights' files, e.g. fp16.")]
MaxMemory = Annotated[
    str | None, typer.Option(metavar="SIZE", help="Bound of the memory taken, e.g. 6GiB; what is free when left out.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the results as JSON, and nothing else.")]


@app.command()
def inspect(
    model: Model,
    dtype: Dtype = "float32",
    device: Device = "cpu",
    variant: Variant = None,
    max_memory: MaxMemory = None,
    as_json: AsJson = False,
) -> None:
    """Load a pipeline and say what it is: kind of prediction, shape of the latents, noise levels.

    Exit status: 0 loaded; 2 the model cannot be used.
    """
    from afi_verify.errors import UnusableError
    from afi_verify.stable_diffusion.memory import parse_size

    try:
        # Before torch and diffusers are imported, which takes seconds.
        from afi_verify.stable_diffusion.preflight import find

        find(model, variant)
        from afi_verify.stable_diffusion.description import describe
        from afi_verify.stable_diffusion.loading import load_pipeline

        pipeline = load_pipeline(model, dtype=dtype, device=device, variant=variant, max_memory=parse_size(max_memory))
        found = describe(pipeline)
    except UnusableError as error:
        typer.echo(f"unusable: {error}", err=True)
        raise typer.Exit(UNUSABLE) from None
    if as_json:
        sys.stdout.write(json.dumps(found, indent=1, allow_nan=False) + "\n")
    else:
        typer.echo("\n".join(f"{name:12} {value}" for name, value in found.items() if name != "levels"))
        for level in found["levels"]:
            typer.echo(f"  t {level['t']:6g}  alpha {level['alpha']:.6f}  sigma {level['sigma']:.6f}")


@app.command()
def example(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the pipeline is written.")],
    kind: Annotated[str, typer.Option(help="sd15, sd2, sd2-v, sdxl, sd3 or flux.")] = "sd15",
    exact: Annotated[
        int, typer.Option(min=0, metavar="N", help="Put the exact denoiser of N random latents in, with its head.")
    ] = 0,
    size: Annotated[int, typer.Option(min=4, help="Height and width of the latents, a multiple of 4.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Of weights and latents.")] = 0,
) -> None:
    """Write a small pipeline with random weights, to try the commands on without a download.

    With --exact also latents.safetensors and, in head/, the exact trace head.
    """
    from afi_verify.errors import UnusableError
    from afi_verify.stable_diffusion.loading import require_packages

    try:
        require_packages()
        from afi_verify.stable_diffusion.examples import write_example

        write_example(folder, kind=kind, exact=exact, size=size, seed=seed)
    except (UnusableError, OSError) as error:
        typer.echo(f"unusable: {error}", err=True)
        raise typer.Exit(UNUSABLE) from None
    typer.echo(f"{folder}: a pipeline of kind {kind}", err=True)
