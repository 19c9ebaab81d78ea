"""The command line: ``afi-verify sd``."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from afi_verify.stable_diffusion.paper.commands import app as paper

app = typer.Typer(name="sd", help="Check latent diffusion models through diffusers.", no_args_is_help=True)
app.add_typer(paper)

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


@app.command()
def check(
    model: Model,
    report: Annotated[Path, typer.Option(metavar="DIR", help="Where results are kept as they come, and the page.")],
    prompt: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="A prompt; can be repeated.")] = None,
    prompts: Annotated[Path | None, typer.Option(metavar="FILE", help="Prompts, one a line.")] = None,
    negative_prompt: Annotated[str, typer.Option(metavar="TEXT", help="For guidance other than 1.")] = "",
    guidance: Annotated[float, typer.Option(help="Guidance scale; 1 is the model of the prompt alone.")] = 1.0,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds for each prompt.")] = 1,
    levels: Annotated[int, typer.Option(min=1, help="How many noise levels, evenly spread in log-SNR.")] = 5,
    t: Annotated[str | None, typer.Option("--t", metavar="T,T,...", help="Timesteps instead of --levels.")] = None,
    trajectory: Annotated[bool, typer.Option(help="Likelihood and adjoint, too.")] = True,
    latents: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Clean latents: a safetensors file with `latents`.")
    ] = None,
    images: Annotated[Path | None, typer.Option(metavar="DIR", help="Images to encode as clean latents.")] = None,
    generate: Annotated[int, typer.Option(min=2, help="Latents to draw from the model where none are given.")] = 16,
    generation_steps: Annotated[int, typer.Option(min=1, help="Steps of each such drawing.")] = 30,
    head: Annotated[Path | None, typer.Option(metavar="DIR", help="A trace head: config.json and safetensors.")] = None,
    samples: Annotated[int, typer.Option(min=2, help="Most noisy latents at a noise level, for means.")] = 64,
    probes: Annotated[int, typer.Option(min=6, help="Random directions for a trace.")] = 48,
    steps: Annotated[int, typer.Option(min=1, help="Solver steps of trajectories; doubled once.")] = 8,
    diagonal: Annotated[bool, typer.Option("--diagonal", help="Likelihood with all d diagonal entries, too.")] = False,
    latent_size: Annotated[
        int | None, typer.Option(min=2, help="Height and width of the latents; the model's own when left out.")
    ] = None,
    model_tolerance: Annotated[float, typer.Option(min=0, help="Of what holds exactly for a score only.")] = 0.05,
    share_tolerance: Annotated[float, typer.Option(min=0, help="Of means, over the covariance's share.")] = 0.25,
    dtype: Dtype = "float32",
    device: Device = "cpu",
    variant: Variant = None,
    max_memory: MaxMemory = None,
    as_json: AsJson = False,
) -> None:
    """Run every check for each prompt, seed and noise level, and write a page.

    Interrupted, the same command goes on where it was. Under torchrun or accelerate launch processes share the work.

    Exit status: 0 nothing failed; 1 some verdict is fail, error or undecided; 2 an argument is unusable.
    """
    from afi_verify.errors import UnusableError
    from afi_verify.stable_diffusion.memory import parse_size
    from afi_verify.stable_diffusion.preflight import find

    def listen(what: str) -> None:
        if not as_json:
            typer.echo(what, err=True)

    try:
        bytes_allowed = parse_size(max_memory)
        find(model, variant)
        from afi_verify.stable_diffusion.loading import require_packages

        require_packages()
        from afi_verify.report.study import write_study
        from afi_verify.runner import environment
        from afi_verify.stable_diffusion.check import Settings, run_check
        from afi_verify.stable_diffusion.check_page import check_study
        from afi_verify.stable_diffusion.conditioning import read_prompts

        texts = [*(prompt or []), *(read_prompts(prompts) if prompts is not None else [])]
        settings = Settings(
            model=model,
            prompts=tuple(texts) or ("",),
            negative_prompt=negative_prompt,
            guidance=guidance,
            seeds=seeds,
            levels=levels,
            times=t,
            trajectory=trajectory,
            dtype=dtype,
            device=device,
            variant=variant,
            latent_size=None if latent_size is None else (latent_size, latent_size),
            latents=None if latents is None else str(latents),
            images=None if images is None else str(images),
            generate=generate,
            generation_steps=generation_steps,
            head=None if head is None else str(head),
            samples=samples,
            probes=probes,
            steps=steps,
            diagonal=diagonal,
            model_tolerance=model_tolerance,
            share_tolerance=share_tolerance,
        )
        document = run_check(settings, report, max_memory=bytes_allowed, listen=listen)
        if document is None:
            return  # not the first process
        command = "afi-verify sd check MODEL --report DIR"
        listen(f"report: {write_study(check_study(document, command, environment()), document, report)}")
    except (UnusableError, OSError) as error:
        typer.echo(f"unusable: {error}", err=True)
        raise typer.Exit(UNUSABLE) from None
    except KeyboardInterrupt:
        typer.echo(f"interrupted: what was finished is in {report}; the same command goes on.", err=True)
        raise typer.Exit(130) from None
    if as_json:
        sys.stdout.write(json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    else:
        typer.echo(", ".join(f"{count} {verdict}" for verdict, count in document["verdicts"].items()))
    raise typer.Exit(int(not document["ok"]))
