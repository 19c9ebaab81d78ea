"""``afi-verify sd check``: every check for each prompt, seed and noise level, kept as they come."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from afi_verify.errors import UnusableError
from afi_verify.stable_diffusion.denoiser import Denoiser
from afi_verify.stable_diffusion.exact_head import ExactTraceHead, load_head
from afi_verify.stable_diffusion.examine import (
    LEVEL_CHECKS,
    TRAJECTORY_CHECKS,
    Effort,
    Subject,
    examine_level,
    examine_trajectory,
)
from afi_verify.stable_diffusion.findings import Tolerances
from afi_verify.stable_diffusion.latents import Latents, encode_images, generate, of_the_model, read_latents
from afi_verify.stable_diffusion.ledger import read_rows, run_items
from afi_verify.stable_diffusion.levels import parse_times, spread_times
from afi_verify.stable_diffusion.loading import load_pipeline
from afi_verify.stable_diffusion.processes import own_device, place, together

SCHEMA = "afi-verify/sd-check/1"
VERDICTS = ("pass", "fail", "undecided", "vacuous", "error", "not provided")
_TRAJECTORY = "trajectory"


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a run's results depend on; see ``afi-verify sd check --help``."""

    model: str
    prompts: tuple[str, ...] = ("",)
    negative_prompt: str = ""
    guidance: float = 1.0
    seeds: int = 1
    levels: int = 5
    times: str | None = None
    trajectory: bool = True
    dtype: str = "float32"
    device: str = "cpu"
    variant: str | None = None
    latent_size: tuple[int, int] | None = None
    latents: str | None = None
    images: str | None = None
    generate: int = 16
    generation_steps: int = 30
    head: str | None = None
    samples: int = 64
    probes: int = 48
    steps: int = 8
    diagonal: bool = False
    model_tolerance: float = 0.05
    share_tolerance: float = 0.25


def run_check(
    settings: Settings, folder: Path, *, max_memory: int | None = None, listen: Callable[[str], None] = lambda _: None
) -> dict[str, Any] | None:
    """Do what is not done yet in ``folder``, with the other processes of this launch.

    Returns
    -------
    dict or None
        The document of all results in the first process; None in the others.

    Raises
    ------
    UnusableError
        If the model, a file or an argument cannot be used, or the folder holds results of other settings.
    """
    examiner = _Examiner(settings, max_memory)
    here = place()
    with together():
        run_items(
            folder,
            dataclasses.asdict(settings),
            examiner.items,
            examiner.examine,
            rank=here.rank,
            world=here.world,
            listen=listen,
        )
    if here.rank:
        return None
    rows = {row["item"]: row for row in read_rows(folder)}
    missing = [item for item in examiner.items if item not in rows]
    if missing:
        raise UnusableError(f"{folder}: {len(missing)} items were not done, {missing[0]} first. Run the command again.")
    return summary(settings, examiner.description, [rows[item] for item in examiner.items])


def summary(settings: Settings, description: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Arrange results as a document: what ran, and how it was judged; planned is the sum of the verdicts."""
    counts = Counter(finding["verdict"] for row in rows for finding in row["findings"])
    return {
        "schema": SCHEMA,
        "settings": dataclasses.asdict(settings),
        "model": description,
        "planned": sum(counts.values()),
        "verdicts": {verdict: counts.get(verdict, 0) for verdict in VERDICTS},
        "ok": not (counts["fail"] or counts["error"] or counts["undecided"]),
        "items": rows,
    }


class _Examiner:
    """A loaded model and the items of a run."""

    def __init__(self, settings: Settings, max_memory: int | None) -> None:
        from afi_verify.stable_diffusion.description import describe

        self.settings, self.budget = settings, max_memory
        self.pipeline = load_pipeline(
            settings.model,
            dtype=settings.dtype,
            device=own_device(settings.device),
            variant=settings.variant,
            max_memory=max_memory,
        )
        if max_memory is not None and hasattr(self.pipeline, "enable_attention_slicing"):
            self.pipeline.enable_attention_slicing()
        self.description = describe(self.pipeline)
        self.denoiser = lru_cache(maxsize=2)(self._denoiser)
        self.latents = lru_cache(maxsize=2)(self._latents)
        first = self.denoiser(0)
        self.head = load_head(Path(settings.head), str(first.device)) if settings.head else None
        schedule = first.schedule
        asked = settings.times
        self.times = parse_times(asked, schedule) if asked is not None else spread_times(schedule, settings.levels)
        stages = [f"{t:g}" for t in self.times] + ([_TRAJECTORY] if settings.trajectory else [])
        self.items = [
            f"prompt {prompt} seed {seed} t {stage}"
            for prompt in range(len(settings.prompts))
            for seed in range(settings.seeds)
            for stage in stages
        ]
        self.latents(0, 0)  # what is wrong with the files is said before anything is computed

    def examine(self, item: str) -> dict[str, Any]:
        """Run the checks of one item."""
        words = item.split()
        prompt, seed, stage = int(words[1]), int(words[3]), words[5]
        options = self.settings
        effort = Effort(options.samples, options.probes, options.steps, options.diagonal)
        tolerances = Tolerances(options.model_tolerance, options.share_tolerance)
        denoiser, latents = self.denoiser(prompt), self.latents(prompt, seed)
        subject = Subject(denoiser, head=self._head_for(denoiser))
        common: dict[str, Any] = {"effort": effort, "tolerances": tolerances, "budget": self.budget}
        number = 1_000_003 * prompt + seed
        if stage == _TRAJECTORY:
            ends = spread_times(denoiser.schedule, 5)
            findings = examine_trajectory(subject, latents, (ends[1], ends[-1]), number, **common)
            expected: tuple[str, ...] = TRAJECTORY_CHECKS
            level: dict[str, float | None] = {"t": None, "alpha": None, "sigma": None, "log_snr": None}
        else:
            t = self.times[[f"{t:g}" for t in self.times].index(stage)]
            findings = examine_level(subject, latents, t, number, **common)
            expected = LEVEL_CHECKS
            level = {
                "t": t,
                "alpha": denoiser.alpha(t),
                "sigma": denoiser.sigma(t),
                "log_snr": float(denoiser.schedule.log_snr(t)),
            }
        assert [finding.check for finding in findings] == list(expected)
        return {
            "prompt": prompt,
            "seed": seed,
            "level": level,
            "findings": [finding.to_dict() for finding in findings],
        }

    def _denoiser(self, prompt: int) -> Denoiser:
        options = self.settings
        return Denoiser(
            self.pipeline,
            options.prompts[prompt],
            negative_prompt=options.negative_prompt,
            guidance=options.guidance,
            latent_size=options.latent_size,
        )

    def _latents(self, prompt: int, seed: int) -> Latents:
        options, denoiser = self.settings, self.denoiser(prompt)
        if options.latents is not None:
            return read_latents(Path(options.latents), denoiser)
        if options.images is not None:
            return encode_images(Path(options.images), denoiser)
        return of_the_model(denoiser) or generate(denoiser, options.generate, seed, options.generation_steps)

    def _head_for(self, denoiser: Denoiser) -> Any:
        if not isinstance(self.head, ExactTraceHead):
            return self.head
        head, states = self.head, denoiser.conditions[0]["encoder_hidden_states"]
        return lambda x, t: head(x, t, states.expand(len(x), *states.shape[1:]))
