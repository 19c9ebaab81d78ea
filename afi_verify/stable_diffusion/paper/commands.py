"""The command line of the paper's experiments: ``afi-verify sd table1``, ``fig1`` to ``fig4``."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer()

UNUSABLE = 2

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A folder in the layout of diffusers, or a hub id.")]
Report = Annotated[Path, typer.Option(metavar="DIR", help="Where results are kept as they come, and the page.")]
Dtype = Annotated[str, typer.Option(help="float64, float32, float16 or bfloat16: of the network.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps.")]
Variant = Annotated[str | None, typer.Option(metavar="NAME", help="Of the weights' files, e.g. fp16.")]
MaxMemory = Annotated[str | None, typer.Option(metavar="SIZE", help="Bound of the memory taken, e.g. 6GiB.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the results as JSON, and nothing else.")]
Prompt = Annotated[str, typer.Option(metavar="TEXT", help="The prompt.")]
Prompts = Annotated[Path | None, typer.Option(metavar="FILE", help="Prompts, one a line.")]
Seeds = Annotated[int, typer.Option(min=1, help="How many seeds.")]
Head = Annotated[Path | None, typer.Option(metavar="DIR", help="A trace head: config.json and safetensors.")]
ClipFolder = Annotated[Path | None, typer.Option("--clip", metavar="DIR", help="A CLIP model: a local folder.")]
Size = Annotated[int | None, typer.Option(min=2, help="Height and width of the latents; the model's own otherwise.")]
Steps = Annotated[int, typer.Option(min=1, help="Solver steps along the flow.")]
Generation = Annotated[int, typer.Option(min=1, help="Steps in which the pipeline draws an image.")]
Probes = Annotated[int, typer.Option(min=2, help="Random directions for a trace, where no head is given.")]


class _Run:
    """What every experiment begins and ends with."""

    def __init__(self, name: str, report: Path, as_json: bool) -> None:
        self.name, self.report, self.as_json = name, report, as_json
        self.schema = f"afi-verify/sd-{name}/1"

    def listen(self, what: str) -> None:
        if not self.as_json:
            typer.echo(what, err=True)

    def load(self, model: str, dtype: str, device: str, variant: str | None, max_memory: str | None) -> Any:
        from afi_verify.stable_diffusion.memory import parse_size
        from afi_verify.stable_diffusion.preflight import find

        bound = parse_size(max_memory)
        find(model, variant)
        from afi_verify.stable_diffusion.loading import load_pipeline
        from afi_verify.stable_diffusion.processes import own_device

        return load_pipeline(model, dtype=dtype, device=own_device(device), variant=variant, max_memory=bound)

    def write(self, document: dict[str, Any], arrange: Callable[[dict[str, Any], dict[str, str]], Any]) -> None:
        from afi_verify.report.study import write_study
        from afi_verify.runner import environment

        document = {"schema": self.schema, "command": f"afi-verify sd {self.name} MODEL --report DIR", **document}
        document["environment"] = environment()
        self.listen(f"report: {write_study(arrange(document, document['environment']), document, self.report)}")
        if self.as_json:
            sys.stdout.write(json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def _errors(report: Path) -> Iterator[None]:
    from afi_verify.errors import UnusableError

    try:
        yield
    except (UnusableError, OSError) as error:
        typer.echo(f"unusable: {error}", err=True)
        raise typer.Exit(UNUSABLE) from None
    except KeyboardInterrupt:
        typer.echo(f"interrupted: what was finished is in {report}.", err=True)
        raise typer.Exit(130) from None


def _pair(size: int | None) -> tuple[int, int] | None:
    return None if size is None else (size, size)


@app.command()
def table1(
    model: Model,
    report: Report,
    head: Head = None,
    t: Annotated[float, typer.Option(help="The timestep.")] = 500.0,
    repeats: Annotated[int, typer.Option(min=1, help="Timings of each.")] = 5,
    latent_size: Size = None,
    dtype: Dtype = "float32",
    device: Device = "cpu",
    variant: Variant = None,
    max_memory: MaxMemory = None,
    as_json: AsJson = False,
) -> None:
    """Time and memory of one evaluation of trace and operator, by VJP and by the analytical formulas (Table 1).

    Exit status: 0 measured; 2 an argument is unusable; 130 interrupted.
    """
    run = _Run("table1", report, as_json)
    with _errors(report):
        pipeline = run.load(model, dtype, device, variant, max_memory)
        import torch

        from afi_verify.stable_diffusion.denoiser import Denoiser
        from afi_verify.stable_diffusion.exact_head import load_head
        from afi_verify.stable_diffusion.levels import require_times
        from afi_verify.stable_diffusion.paper import table1 as experiment

        denoiser = Denoiser(pipeline, latent_size=_pair(latent_size))
        require_times([t], denoiser.schedule)
        x = torch.randn(1, *denoiser.event_shape, generator=torch.Generator().manual_seed(0)).to(denoiser.device)
        level = (t, denoiser.alpha(t), denoiser.sigma(t))
        loaded = None if head is None else load_head(head, str(denoiser.device))
        rows = experiment.measure(denoiser.eps, loaded, x, level, repeats, run.listen)
        shape = "×".join(map(str, denoiser.event_shape))
        what = f"{type(denoiser.network).__name__} in {dtype} on {denoiser.device.type}, latents of {shape}, batch 1."
        run.write({"what": what, "rows": rows, "ratios": experiment.ratios(rows)}, experiment.make_study)


@app.command()
def fig1(
    model: Model,
    report: Report,
    latents: Annotated[Path, typer.Option(metavar="FILE", help="Clean latents: safetensors with `latents`.")],
    steps: Annotated[int, typer.Option(min=1, help="Of Adam.")] = 10_000,
    batch: Annotated[int, typer.Option(min=1, help="Noisy latents in each.")] = 64,
    channels: Annotated[str, typer.Option(help="Of the U-Net, from fine to coarse; multiples of 4.")] = "32,64",
    rate: Annotated[float, typer.Option(min=0, help="Of learning, at first.")] = 1e-3,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, draws and noise.")] = 0,
    dtype: Dtype = "float32",
    device: Device = "cpu",
    variant: Variant = None,
    max_memory: MaxMemory = None,
    as_json: AsJson = False,
) -> None:
    """Train a trace head of U-Net shape with an MLP output on latents, and save it in DIR/head (Fig. 1).

    Exit status: 0 trained; 2 an argument is unusable; 130 interrupted.
    """
    run = _Run("fig1", report, as_json)
    with _errors(report):
        from afi_verify.errors import UnusableError

        pipeline = run.load(model, dtype, device, variant, max_memory)
        from afi_verify.stable_diffusion.denoiser import Denoiser
        from afi_verify.stable_diffusion.latents import read_latents
        from afi_verify.stable_diffusion.paper import fig1 as experiment

        try:
            widths = tuple(int(part) for part in channels.split(","))
        except ValueError:
            raise UnusableError(f"--channels {channels!r}: write for example 32,64,128.") from None
        denoiser = Denoiser(pipeline)
        if any(width < 4 or width % 4 for width in widths) or denoiser.event_shape[1] % 2 ** (len(widths) - 1):
            raise UnusableError(
                f"--channels {channels}: multiples of 4, and one level per halving of the latents' size."
            )
        data = read_latents(latents, denoiser)
        found = experiment.train(
            denoiser, data, report, steps=steps, batch=batch, channels=widths, rate=rate, seed=seed, listen=run.listen
        )
        run.write(found, experiment.make_study)


@app.command()
def fig2(
    model: Model,
    report: Report,
    prompts: Prompts = None,
    prompt: Prompt = "",
    guidances: Annotated[str, typer.Option(metavar="G,G,...", help="Guidance scales.")] = "1,2,4,7.5,12",
    seeds: Seeds = 4,
    clip: ClipFolder = None,
    head: Head = None,
    generation_steps: Generation = 30,
    steps: Steps = 20,
    probes: Probes = 16,
    latent_size: Size = None,
    dtype: Dtype = "float32",
    device: Device = "cpu",
    variant: Variant = None,
    max_memory: MaxMemory = None,
    as_json: AsJson = False,
) -> None:
    """Negative log-likelihood against CLIP score over guidance scales (Fig. 2). Interrupted, it goes on when run again.

    Exit status: 0 measured; 2 an argument is unusable; 130 interrupted.
    """
    _sweep(**locals(), name="fig2")


@app.command()
def fig3(
    model: Model,
    report: Report,
    prompt: Prompt = "",
    seeds: Seeds = 16,
    guidance: Annotated[float, typer.Option(help="Guidance scale with which the images are drawn.")] = 7.5,
    head: Head = None,
    generation_steps: Generation = 30,
    steps: Steps = 20,
    probes: Probes = 16,
    latent_size: Size = None,
    dtype: Dtype = "float32",
    device: Device = "cpu",
    variant: Variant = None,
    max_memory: MaxMemory = None,
    as_json: AsJson = False,
) -> None:
    """Negative log-likelihood by seed for one prompt (Fig. 3). Interrupted, it goes on when run again.

    Exit status: 0 measured; 2 an argument is unusable; 130 interrupted.
    """
    given = locals()
    given["guidances"] = str(given.pop("guidance"))
    _sweep(**given, clip=None, prompts=None, name="fig3")


def _sweep(
    *,
    name: str,
    model: str,
    report: Path,
    prompts: Path | None,
    prompt: str,
    guidances: str,
    seeds: int,
    clip: Path | None,
    head: Path | None,
    generation_steps: int,
    steps: int,
    probes: int,
    latent_size: int | None,
    dtype: str,
    device: str,
    variant: str | None,
    max_memory: str | None,
    as_json: bool,
) -> None:
    run = _Run(name, report, as_json)
    with _errors(report):
        from afi_verify.errors import UnusableError

        pipeline = run.load(model, dtype, device, variant, max_memory)
        from afi_verify.stable_diffusion.conditioning import read_prompts
        from afi_verify.stable_diffusion.exact_head import load_head
        from afi_verify.stable_diffusion.loading import network_of
        from afi_verify.stable_diffusion.memory import parse_size
        from afi_verify.stable_diffusion.paper import sweep as experiment
        from afi_verify.stable_diffusion.paper.losses import Clip

        try:
            scales = [float(part) for part in guidances.split(",")]
        except ValueError:
            raise UnusableError(f"--guidances {guidances!r}: write for example 1,4,7.5.") from None
        place = str(network_of(pipeline).device)
        settings = {
            "experiment": name,
            "model": model,
            "prompts": read_prompts(prompts) if prompts is not None else [prompt],
            "guidances": scales,
            "seeds": seeds,
            "clip": None if clip is None else str(clip),
            "head": None if head is None else str(head),
            "generation_steps": generation_steps,
            "steps": steps,
            "probes": probes,
            "latent_size": latent_size,
            "dtype": dtype,
        }
        rows = experiment.sweep(
            pipeline,
            report,
            settings,
            prompts=settings["prompts"],  # type: ignore[arg-type]
            guidances=scales,
            seeds=seeds,
            generation_steps=generation_steps,
            steps=steps,
            probes=probes,
            clip=None if clip is None else Clip(clip, place),
            head=None if head is None else load_head(head, place),
            latent_size=_pair(latent_size),
            budget=parse_size(max_memory),
            listen=run.listen,
        )
        if rows is not None:
            arrange = experiment.guidance_study if name == "fig2" else experiment.seed_study
            run.write({"settings": settings, "rows": rows}, arrange)


@app.command()
def fig4(
    model: Model,
    report: Report,
    score: Annotated[str, typer.Option(help="clip, aesthetic, identity or target.")] = "target",
    prompt: Prompt = "",
    clip: ClipFolder = None,
    aesthetic: Annotated[
        Path | None, typer.Option(metavar="FILE", help="safetensors with `weight` and `bias` on CLIP's embedding.")
    ] = None,
    reference: Annotated[Path | None, typer.Option(metavar="IMAGE", help="For identity and target.")] = None,
    counts: Annotated[str, typer.Option(metavar="N,N,...", help="Numbers of guided steps.")] = "0,5,10,20",
    seeds: Seeds = 2,
    steps: Annotated[int, typer.Option(min=2, help="Sampling steps.")] = 50,
    adjoint_steps: Annotated[int, typer.Option(min=1, help="Of the adjoint equation, each time.")] = 4,
    strength: Annotated[float, typer.Option(min=0, help="Length of a guidance step, root mean square.")] = 0.2,
    guidance: Annotated[float, typer.Option(help="Of the prompt.")] = 1.0,
    latent_size: Size = None,
    dtype: Dtype = "float32",
    device: Device = "cpu",
    variant: Variant = None,
    max_memory: MaxMemory = None,
    as_json: AsJson = False,
) -> None:
    """Adjoint guidance with the VJP and with AFI-EA: score against time (Fig. 4 and 5). Goes on when run again.

    Exit status: 0 measured; 2 an argument is unusable; 130 interrupted.
    """
    run = _Run("fig4", report, as_json)
    with _errors(report):
        from afi_verify.errors import UnusableError

        numbers = _whole_numbers(counts)
        if score not in ("clip", "aesthetic", "identity", "target"):
            raise UnusableError(f"--score {score!r} is not known; choose clip, aesthetic, identity or target.")
        needed = {
            "clip": (clip,),
            "aesthetic": (clip, aesthetic),
            "identity": (clip, reference),
            "target": (reference,),
        }
        names = {"clip": "--clip", "aesthetic": "--clip and --aesthetic", "identity": "--clip and --reference"}
        if any(value is None for value in needed[score]):
            raise UnusableError(f"--score {score} needs {names.get(score, '--reference')}.")
        pipeline = run.load(model, dtype, device, variant, max_memory)
        from afi_verify.stable_diffusion.denoiser import Denoiser
        from afi_verify.stable_diffusion.paper import fig4 as experiment
        from afi_verify.stable_diffusion.paper import losses

        denoiser = Denoiser(pipeline, prompt, guidance=guidance, latent_size=_pair(latent_size))
        place = denoiser.device
        model_of_images: Any = None if clip is None else losses.Clip(clip, str(place))
        image = None if reference is None else losses.read_image(reference, place)
        made: Callable[..., Any] = {
            "clip": lambda: losses.clip_score(model_of_images, prompt),
            "aesthetic": lambda: losses.aesthetic_score(model_of_images, aesthetic),  # type: ignore[arg-type]
            "identity": lambda: losses.identity_score(model_of_images, image),  # type: ignore[arg-type]
            "target": lambda: losses.target_score(image),  # type: ignore[arg-type]
        }[score]
        settings = {
            "experiment": "fig4",
            "model": model,
            "score": score,
            "prompt": prompt,
            "files": [None if file is None else str(file) for file in (clip, aesthetic, reference)],
            "counts": numbers,
            "seeds": seeds,
            "steps": steps,
            "adjoint_steps": adjoint_steps,
            "strength": strength,
            "guidance": guidance,
            "latent_size": latent_size,
            "dtype": dtype,
        }
        rows = experiment.guide(
            denoiser,
            made(),
            report,
            settings,
            counts=numbers,
            seeds=seeds,
            steps=steps,
            adjoint_steps=adjoint_steps,
            strength=strength,
            listen=run.listen,
        )
        if rows is not None:
            run.write({"settings": settings, "rows": rows}, experiment.make_study)


def _whole_numbers(text: str) -> list[int]:
    from afi_verify.errors import UnusableError

    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [-1]
    if min(numbers) < 0:
        raise UnusableError(f"{text!r}: write whole numbers, for example 0,5,10.")
    return numbers
