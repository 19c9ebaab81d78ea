"""Mistakes on the side of diffusers, made on purpose: each is held against every check of ``afi-verify sd``.

``python -m tests.stable_diffusion.mutants DIR`` writes the table of what caught which as a page.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from afi_verify.implementations.torch_dirac import fisher_trace_matching, fisher_vector_product_endpoint
from afi_verify.stable_diffusion.checks_identities import Formulas
from afi_verify.stable_diffusion.denoiser import Denoiser
from afi_verify.stable_diffusion.exact import exact_pipeline
from afi_verify.stable_diffusion.exact_head import ExactTraceHead
from afi_verify.stable_diffusion.examine import Effort, Subject, examine_level
from afi_verify.stable_diffusion.examples import clustered_latents
from afi_verify.stable_diffusion.latents import Latents, of_the_model
from afi_verify.stable_diffusion.levels import spread_times
from afi_verify.stable_diffusion.loading import load_pipeline, network_of, quiet_libraries
from afi_verify.stable_diffusion.tiny import tiny_pipeline

SHAPE = (4, 8, 8)


class Bench:
    """Exact pipelines by kind, saved and loaded, with a prompt that matters."""

    def __init__(self, folder: Path, count: int = 64, dtype: str = "float64") -> None:
        self.folder, self.count, self.dtype = folder, count, dtype

    def saved(self, kind: str) -> Path:
        place = self.folder / kind
        if not place.exists():
            pipeline = tiny_pipeline(kind, SHAPE[1])
            keys = 0.3 * torch.randn(self.count, _text_size(kind), generator=torch.Generator().manual_seed(5))
            exact_pipeline(pipeline, clustered_latents(self.count, SHAPE), prompt_keys=keys)
            with quiet_libraries():
                pipeline.save_pretrained(place)
        return place

    def load(self, kind: str, edit: dict[str, Any] | None = None) -> Any:
        place = self.saved(kind)
        if edit:
            changed = Path(tempfile.mkdtemp(dir=self.folder)) / "model"
            shutil.copytree(place, changed)
            file = changed / "scheduler" / "scheduler_config.json"
            file.write_text(json.dumps(json.loads(file.read_text()) | edit))
            place = changed
        return load_pipeline(str(place), dtype=self.dtype)


def _text_size(kind: str) -> int:
    return {"sdxl": 64, "sd3": 64}.get(kind, 32)


def right(bench: Bench, kind: str = "sd15", **options: Any) -> tuple[Subject, Latents]:
    denoiser = Denoiser(bench.load(kind), "a cat", **options)
    latents = of_the_model(denoiser)
    states = denoiser.conditions[0]["encoder_hidden_states"]
    exact = ExactTraceHead.of(network_of(denoiser.pipeline))
    return Subject(denoiser, head=lambda x, t: exact(x, t, states.expand(len(x), *states.shape[1:]))), latents


@dataclasses.dataclass(frozen=True)
class Moved:
    """A schedule with one of its functions replaced."""

    base: Any
    alpha: Callable[[Any], Any]
    sigma: Callable[[Any], Any]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.base, name)


def _with_schedule(bench: Bench, kind: str, change: Callable[[Any], Moved]) -> tuple[Subject, Latents]:
    subject, latents = right(bench, kind)
    subject.denoiser.schedule = change(subject.denoiser.schedule)
    return subject, latents


def _shifted(base: Any, by: float) -> Moved:
    def at(t: Any) -> Any:
        return min(max(t + by, base.t_min), base.t_max) if isinstance(t, float) else (t + by).clamp(base.t_min)

    return Moved(base, lambda t: base.alpha(at(t)), lambda t: base.sigma(at(t)))


def index_one_late(bench: Bench) -> tuple[Subject, Latents]:
    """alphas_cumprod[t + 1] for alphas_cumprod[t]."""
    return _with_schedule(bench, "sd15", lambda base: _shifted(base, 1.0))


def index_one_early(bench: Bench) -> tuple[Subject, Latents]:
    """alphas_cumprod[t - 1] for alphas_cumprod[t]."""
    return _with_schedule(bench, "sd15", lambda base: _shifted(base, -1.0))


def alpha_squared_for_alpha(bench: Bench) -> tuple[Subject, Latents]:
    """alphas_cumprod taken for alpha, its complement's root for sigma."""
    return _with_schedule(bench, "sd15", lambda base: Moved(base, lambda t: base.alpha(t) ** 2, base.sigma))


def sigma_squared_for_sigma(bench: Bench) -> tuple[Subject, Latents]:
    """1 - alphas_cumprod taken for sigma."""
    return _with_schedule(bench, "sd15", lambda base: Moved(base, base.alpha, lambda t: base.sigma(t) ** 2))


def shift_applied_twice(bench: Bench) -> tuple[Subject, Latents]:
    """The flow's time shifted again, though the timestep is that of the shifted sigma."""

    def shifted(t: Any) -> Any:
        return 1000 * 3 * (t / 1000) / (1 + 2 * (t / 1000))

    return _with_schedule(
        bench, "sd3", lambda b: Moved(b, lambda t: b.alpha(shifted(t)), lambda t: b.sigma(shifted(t)))
    )


def guidance_in_the_jacobian_alone(bench: Bench) -> tuple[Subject, Latents]:
    """The Jacobian is that of the guided prediction, the score that of the prompt alone."""
    subject, latents = right(bench)
    guided = Denoiser(subject.denoiser.pipeline, "a cat", guidance=7.5)
    return dataclasses.replace(subject, jacobian_of=guided.eps), latents


def vae_scaling_forgotten(bench: Bench) -> tuple[Subject, Latents]:
    """Latents as the VAE encodes them, not multiplied by its scaling factor."""
    subject, latents = right(bench)
    factor = subject.denoiser.pipeline.vae.config.scaling_factor
    return subject, dataclasses.replace(latents, values=latents.values / factor)


def vae_scaling_twice(bench: Bench) -> tuple[Subject, Latents]:
    """Latents multiplied by the scaling factor once more."""
    subject, latents = right(bench, "flux")
    factor = subject.denoiser.pipeline.vae.config.scaling_factor
    return subject, dataclasses.replace(latents, values=latents.values * factor)


def v_taken_for_noise(bench: Bench) -> tuple[Subject, Latents]:
    """A v-prediction read as the noise."""
    return right(bench, "sd2-v", prediction="epsilon")


def noise_taken_for_v(bench: Bench) -> tuple[Subject, Latents]:
    """A noise prediction read as v."""
    return right(bench, "sd15", prediction="v_prediction")


def v_taken_for_noise_on_disk(bench: Bench) -> tuple[Subject, Latents]:
    """prediction_type of scheduler_config.json says epsilon of a v-prediction network."""
    subject, latents = right(bench, "sd2-v")
    wrong = Denoiser(bench.load("sd2-v", {"prediction_type": "epsilon"}), "a cat")
    return dataclasses.replace(subject, denoiser=wrong), latents


def another_beta_schedule_on_disk(bench: Bench) -> tuple[Subject, Latents]:
    """scheduler_config.json says linear of a network of the scaled-linear schedule."""
    subject, latents = right(bench, "sd15")
    wrong = Denoiser(bench.load("sd15", {"beta_schedule": "linear"}), "a cat")
    return dataclasses.replace(subject, denoiser=wrong), latents


class _Negated(Denoiser):
    def output(self, x, t):
        return -super().output(x, t)


def sign_of_the_velocity(bench: Bench) -> tuple[Subject, Latents]:
    """x_0 - noise for noise - x_0."""
    subject, latents = right(bench, "sd3")
    return dataclasses.replace(subject, denoiser=_Negated(subject.denoiser.pipeline, "a cat")), latents


def jacobian_of_the_raw_output(bench: Bench) -> tuple[Subject, Latents]:
    """The Jacobian is that of v, not of the noise made of v and x."""
    subject, latents = right(bench, "sd2-v")
    return dataclasses.replace(subject, jacobian_of=subject.denoiser.output), latents


def conversion_detached(bench: Bench) -> tuple[Subject, Latents]:
    """The x in the conversion from velocity to noise is detached: its part of the Jacobian is lost."""
    subject, latents = right(bench, "flux")

    def eps(x, t):
        return x.detach() + subject.denoiser.alpha(t) * subject.denoiser.output(x, t)

    return dataclasses.replace(subject, jacobian_of=eps), latents


def _with_formulas(bench: Bench, kind: str = "sd15", **formulas: Any) -> tuple[Subject, Latents]:
    subject, latents = right(bench, kind)
    return dataclasses.replace(subject, formulas=Formulas(**formulas)), latents


def overflow_of_sigma_to_the_fourth(bench: Bench) -> tuple[Subject, Latents]:
    """alpha^2 / sigma^4 in float16, where it overflows at little noise."""

    def trace(x, alpha, sigma, eps, head):
        x, eps, head = x.half(), eps.half(), head.half()
        a, s = torch.tensor(alpha).half(), torch.tensor(sigma).half()
        mean = (x - s * eps) / a
        factor = a**2 / s**4
        return (x[0].numel() / s**2 - factor * (x[0].numel() * head - mean.flatten(1).square().sum(1))).double()

    return _with_formulas(bench, trace_matching=trace)


def head_without_one_over_d(bench: Bench) -> tuple[Subject, Latents]:
    """Eq. 17 as printed."""

    def trace(x, alpha, sigma, eps, head):
        d = x[0].numel()
        mean = (x - sigma * eps) / alpha
        return d / sigma**2 - alpha**2 / sigma**4 * d * (head - mean.flatten(1).square().sum(1))

    return _with_formulas(bench, trace_matching=trace)


def alpha_squared_in_the_head(bench: Bench) -> tuple[Subject, Latents]:
    """alphas_cumprod for alpha in eq. 17."""
    return _with_formulas(bench, trace_matching=lambda x, a, s, eps, head: fisher_trace_matching(x, a**2, s, eps, head))


def endpoint_without_the_mean(bench: Bench) -> tuple[Subject, Latents]:
    """Eq. 20 with x_0 x_0^T alone."""

    def product(x, v, x0, eps, alpha, sigma):
        del eps
        along = (x0 * v).flatten(1).sum(1).reshape(-1, 1, 1, 1)
        return v / sigma**2 - alpha**2 / sigma**4 * along * x0

    return _with_formulas(bench, endpoint=product)


def endpoint_with_sigma_cubed(bench: Bench) -> tuple[Subject, Latents]:
    """Eq. 20 with sigma^3 for sigma^4."""

    def product(x, v, x0, eps, alpha, sigma):
        right_one = fisher_vector_product_endpoint(x, v, x0, eps, alpha, sigma)
        return v / sigma**2 + sigma * (right_one - v / sigma**2)

    return _with_formulas(bench, endpoint=product)


MUTANTS: dict[Callable[[Bench], tuple[Subject, Latents]], str] = {
    index_one_late: "noising",
    index_one_early: "noising",
    alpha_squared_for_alpha: "noising",
    sigma_squared_for_sigma: "noising",
    shift_applied_twice: "noising",
    guidance_in_the_jacobian_alone: "jvp-and-differences",
    vae_scaling_forgotten: "denoising-error",
    vae_scaling_twice: "denoising-error",
    v_taken_for_noise: "denoising-error",
    noise_taken_for_v: "denoising-error",
    v_taken_for_noise_on_disk: "denoising-error",
    another_beta_schedule_on_disk: "denoising-error",
    sign_of_the_velocity: "denoising-error",
    jacobian_of_the_raw_output: "jvp-and-differences",
    conversion_detached: "jvp-and-differences",
    overflow_of_sigma_to_the_fourth: "head-trace",
    head_without_one_over_d: "head-trace",
    alpha_squared_in_the_head: "head-trace",
    endpoint_without_the_mean: "endpoint-operator",
    endpoint_with_sigma_cubed: "endpoint-operator",
}
"""Each mutant, and the check that is there for its kind."""


def caught_by(
    make: Callable[[Bench], tuple[Subject, Latents]], bench: Bench, samples: int = 512, until: str | None = None
) -> dict[str, list[float]]:
    """Return the checks that fail, each with the timesteps at which they do; no more levels once ``until`` has."""
    subject, latents = make(bench)
    found: dict[str, list[float]] = {}
    low, middle, high = spread_times(subject.denoiser.schedule, 3)
    for t in (middle, low, high):
        for finding in examine_level(subject, latents, t, 0, effort=Effort(samples=samples)):
            if finding.verdict in ("fail", "error"):
                found.setdefault(finding.check, []).append(t)
        if until in found:
            break
    return found


def write_table(folder: Path) -> None:
    """Write the page of what caught which."""
    from afi_verify.report.study import Cell, Section, Study, Table, write_study
    from afi_verify.runner import environment
    from tests.stable_diffusion.more_mutants import MORE_MUTANTS

    every, rows, document = {**MUTANTS, **MORE_MUTANTS}, [], {}
    with tempfile.TemporaryDirectory() as place:
        bench = Bench(Path(place))
        for make in every:
            found = caught_by(make, bench)
            document[make.__name__] = found
            told = ", ".join(f"{check} ({len(times)})" for check, times in found.items()) or "none"
            name = make.__name__.replace("_", " ")
            rows.append((name, make.__doc__.strip(), Cell(told, "pass" if found else "fail")))
    caught = sum(bool(found) for found in document.values())
    study = Study(
        name="mistakes on the side of diffusers",
        answer=f"{caught} of {len(every)} mistakes caught.",
        tone="pass" if caught == len(every) else "fail",
        lead="Each mistake is made in code around an exact denoiser of 64 latents of 4×8×8, and held against every "
        "check of afi-verify sd at three noise levels; in brackets, at how many of them a check fails.",
        sections=(
            Section("What caught which", tables=(Table("", ("Mistake", "What it is", "Caught by"), tuple(rows)),)),
        ),
        command=f"python -m tests.stable_diffusion.mutants {folder}",
        environment=environment(),
    )
    write_study(study, {"schema": "afi-verify/sd-mutants/1", "caught": document}, folder)


if __name__ == "__main__":
    write_table(Path(sys.argv[1]))
