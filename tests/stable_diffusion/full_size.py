"""The exact model at 4x64x64 (d = 16,384), for each kind of prediction: every check, every number against the truth.

``python -m tests.stable_diffusion.full_size DIR`` writes the page; test_checks.py runs a part.

The truth comes from the oracles in NumPy, in the N - 1 dimensions in which N latents differ: in all others the data are
one point, the Fisher information is ``I / sigma^2`` and the flow stretches by ``sigma_end / sigma_start``.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from afi_reference import DiracMixture
from afi_reference.flow import FlowOracle
from afi_verify.report.study import Cell, Section, Study, Table, write_study
from afi_verify.runner import environment
from afi_verify.stable_diffusion.denoiser import Denoiser
from afi_verify.stable_diffusion.exact import exact_pipeline
from afi_verify.stable_diffusion.exact_head import ExactTraceHead
from afi_verify.stable_diffusion.examine import Effort, Subject, examine_level, examine_trajectory
from afi_verify.stable_diffusion.findings import MULTIPLE, Finding
from afi_verify.stable_diffusion.latents import Latents, of_the_model
from afi_verify.stable_diffusion.loading import load_pipeline, network_of, quiet_libraries
from afi_verify.stable_diffusion.products import signs
from afi_verify.stable_diffusion.tiny import tiny_pipeline

KINDS = {"sd15": "epsilon", "sd2-v": "v_prediction", "sd3": "flow"}
COUNT = 64
LEVELS = (2.0, 1.2)
"""Log-SNR of the levels: latents are then 3.5 and 2.4 times the noise apart, and many share the posterior."""
WAY = (2.2, 0.4)
"""Log-SNR of a trajectory's ends."""


def cluster(count: int, size: int) -> torch.Tensor:
    """Return latents of unit variance, each 1.3 from every other, whatever the size."""
    generator = torch.Generator().manual_seed(0)
    centre = torch.randn(4, size, size, generator=generator)
    return centre + 1.3 / (2 * centre.numel()) ** 0.5 * torch.randn(count, *centre.shape, generator=generator)


def times_of(denoiser: Denoiser, levels: Sequence[float]) -> list[float]:
    """Return the whole timesteps next to these log-SNRs."""
    return [float(round(float(denoiser.schedule.time_of_log_snr(level)))) for level in levels]


@dataclasses.dataclass(frozen=True)
class Compared:
    """A number of the harness, the true one, and how far they may be apart."""

    quantity: str
    found: float
    truth: float
    tolerance: float

    @property
    def ok(self) -> bool:
        return abs(self.found - self.truth) <= self.tolerance


class Bed:
    """An exact pipeline, saved and loaded, with its head and the truth about it."""

    def __init__(self, kind: str, folder: Path, size: int = 64, count: int = COUNT) -> None:
        pipeline = exact_pipeline(tiny_pipeline(kind, size), cluster(count, size))
        with quiet_libraries():
            pipeline.save_pretrained(folder)
        self.denoiser = Denoiser(load_pipeline(str(folder)))
        network = network_of(self.denoiser.pipeline)
        self.subject = Subject(self.denoiser, head=ExactTraceHead.of(network))
        latents = of_the_model(self.denoiser)
        assert latents is not None
        self.latents: Latents = latents
        self.law: DiracMixture = network.law()
        atoms = np.asarray(self.law.atoms)
        self.centre = atoms.mean(axis=0)
        self.basis = np.linalg.qr((atoms - self.centre)[1:].T)[0]  # (d, N - 1), orthonormal
        self.small = DiracMixture((atoms - self.centre) @ self.basis, self.law.weights)

    def reduced(self, x: torch.Tensor, alpha: float) -> np.ndarray:
        return (x.flatten(1).double().numpy() - alpha * self.centre) @ self.basis

    def share(self, alpha: float, sigma: float, draws: int = 20_000) -> tuple[float, float]:
        """Return the true mean of ``d - sigma^2 tr F`` and its standard error, in the reduced dimensions."""
        rng = np.random.default_rng(77)
        index = rng.choice(len(self.small.atoms), draws, p=self.small.weights)
        x = alpha * self.small.atoms[index] + sigma * rng.normal(size=(draws, self.small.dimension))
        share = self.small.dimension - sigma**2 * self.small.fisher_trace(x, alpha, sigma)
        return float(share.mean()), float(share.std() / draws**0.5)


def at_level(bed: Bed, t: float, seed: int, effort: Effort) -> tuple[list[Finding], list[Compared]]:
    """Run every check at one noise level, and hold its numbers against the truth."""
    denoiser, law = bed.denoiser, bed.law
    findings = examine_level(bed.subject, bed.latents, t, seed, effort=effort)
    numbers = {finding.check: finding.numbers for finding in findings}
    alpha, sigma, d = denoiser.alpha(t), denoiser.sigma(t), denoiser.dimension
    x = bed.latents.noised(1, alpha, sigma, torch.Generator().manual_seed(seed))[0]
    flat = x.flatten(1).numpy()
    told = []

    # Products, along data: relative to what they have beyond the identity. Rounding is that of the float32 network.
    products = bed.subject.products(x, t, None)
    rounding = MULTIPLE * bed.subject.unit * max(1.0, float(x.square().mean().sqrt()) / sigma)
    eps = -sigma * law.score(flat, alpha, sigma)
    off = np.abs(products.eps(x, t).flatten(1).numpy() - eps).max()
    told.append(Compared("prediction, largest error", float(off), 0.0, rounding * float(np.abs(eps).max())))
    apart = bed.latents.values - bed.latents.values[0]
    v = apart[apart.flatten(1).square().sum(dim=1).argmax()][None]
    v = v / v.norm()
    true = sigma * law.fisher_vector_product(flat, v.flatten(1).numpy(), alpha, sigma)
    beyond = float(np.linalg.norm(v.flatten(1).numpy() / sigma - true))
    for name, found in (("J^T v", products.vjp(x, v, t)), ("J v", products.jvp(x, v, t))):
        error = float(np.linalg.norm(found.flatten(1).numpy() - true)) / beyond
        allowed = rounding * float(np.linalg.norm(true)) / beyond
        told.append(Compared(f"{name} along data, error over the covariance's part", error, 0.0, allowed))
    z = signs(1, tuple(x.shape[1:]), torch.Generator().manual_seed(9), x)
    true = sigma * law.fisher_vector_product(flat, z.flatten(1).numpy(), alpha, sigma)
    found = products.difference(x, z, t, float(numbers["jvp-and-differences"]["step"] or 0))
    error = float(np.linalg.norm(found.flatten(1).numpy() - true) / np.linalg.norm(true))
    told.append(Compared("J v by differences, relative error", error, 0.0, _tolerance(findings, "jvp-and-differences")))

    trace = sigma**2 * float(law.fisher_trace(flat, alpha, sigma)[0])
    for name in ("hutchinson", "hutch++", "diagonal"):
        half = float(numbers["traces"][f"{name}_half_width"] or 0)
        told.append(
            Compared(f"sigma tr J by {name}", float(numbers["traces"][name] or np.nan), trace, half + rounding * d**0.5)
        )

    share, error = bed.share(alpha, sigma)
    fields = {
        "stein": "stein",
        "squared-score": "score",
        "denoising-error": "denoising",
        "endpoint-operator": "endpoint",
        "head-trace": "head_trace",
    }
    for check, name in fields.items():
        # The half-width is that of its difference from the trace's share; both contain the truth.
        gap = float(numbers[check]["half_width"] or np.nan) * max(
            abs(float(numbers[check][n] or np.nan)) for n in ("share", name)
        )
        told.append(
            Compared(f"covariance's share by {name}", float(numbers[check][name] or np.nan), share, gap + 5 * error)
        )
    told.append(_fokker_planck(bed, numbers["fokker-planck"], flat, t, seed))
    return findings, told


def _tolerance(findings: Sequence[Finding], check: str) -> float:
    return next(finding.tolerance or 0.0 for finding in findings if finding.check == check)


def _fokker_planck(bed: Bed, numbers: Any, flat: np.ndarray, t: float, seed: int) -> Compared:
    """Hold the change of the score with the noise along it against the oracle's, by differences of the oracle."""
    del seed
    denoiser, law = bed.denoiser, bed.law
    alpha, tau = denoiser.alpha(t), denoiser.sigma(t) / denoiser.alpha(t)
    u = law.score(flat, alpha, alpha * tau)
    u /= -np.linalg.norm(u)
    h = 1e-4
    sides = [-(u * law.score(flat / alpha, 1.0, tau * (1 + way * h))).sum() for way in (1, -1)]
    truth = float(sides[0] - sides[1]) / (2 * h * tau)
    return Compared("d score / d noise along the score", float(numbers["by_differences"]), truth, 1e-3 * abs(truth))


def on_the_way(bed: Bed, seed: int, effort: Effort) -> tuple[list[Finding], list[Compared]]:
    """Run the checks of trajectories between two noise levels, against the flow's oracle."""
    denoiser, latents = bed.denoiser, bed.latents
    low, high = times_of(denoiser, WAY)
    findings = examine_trajectory(bed.subject, latents, (low, high), seed, effort=effort)
    numbers = {finding.check: finding.numbers for finding in findings}
    generator = torch.Generator().manual_seed(seed)
    near = latents.noised(1, denoiser.alpha(low), denoiser.sigma(low), generator)[0]
    far, _, index = latents.noised(1, denoiser.alpha(high), denoiser.sigma(high), generator)
    oracle = FlowOracle(bed.small, denoiser.schedule)
    d, rest = denoiser.dimension, denoiser.dimension - bed.small.dimension
    stretch = denoiser.sigma(low) / denoiser.sigma(high)

    inside = oracle.log_determinant(bed.reduced(near, denoiser.alpha(low)), low, high)
    truth = float(inside.value[0] - rest * np.log(stretch))
    part = float(truth + d * np.log(stretch))
    found, head = numbers["likelihood"], numbers["likelihood-head"]
    nats = float(d * np.log(2))
    slack = float(found["steps_error"] or 0) * nats + float(inside.error[0])
    told = [
        Compared(
            "log-determinant by Hutchinson",
            float(found["log_determinant"] or np.nan),
            truth,
            float(found["half_width"] or 0) * nats + slack,
        ),
        Compared("log-determinant by AFI-TM", float(head["log_determinant"] or np.nan), truth, slack),
        Compared("covariance's part of it by AFI-TM", float(head["part_told"] or np.nan), part, slack),
    ]

    # The gradient of the loss <c, x_end> at the noisy end, both in the span of the latents and out of it.
    apart = latents.values - latents.values[index]
    toward = apart[apart.flatten(1).square().sum(dim=1).argmax()][None]
    c = (
        signs(1, tuple(far.shape[1:]), torch.Generator().manual_seed(seed), far)
        + toward / toward.square().mean().sqrt()
    )
    c = c.flatten(1).numpy()
    along = oracle.adjoint(bed.reduced(far, denoiser.alpha(high)), c @ bed.basis, high, low)
    gradient = stretch * (c - c @ bed.basis @ bed.basis.T) + along.value @ bed.basis.T
    size = float(np.linalg.norm(gradient))
    adjoint = numbers["adjoint"]
    allowed = size * (float(adjoint["steps_error"] or 0) + 1e-4) + float(along.error[0])
    told += [
        Compared("norm of the adjoint gradient", float(adjoint["gradient_norm"] or np.nan), size, allowed),
        Compared(
            "adjoint gradient along the loss's",
            float(adjoint["gradient_along_loss"] or np.nan),
            float((c * gradient).sum()),
            allowed * float(np.linalg.norm(c)),
        ),
        Compared(
            "error of F = I / sigma^2 in it",
            float(adjoint["trivial_error"] or np.nan),
            float(np.linalg.norm(stretch * c - gradient)) / size,
            allowed / size,
        ),
    ]
    return findings, told


def measure() -> dict[str, Any]:
    """Run everything."""
    items = []
    for kind, prediction in KINDS.items():
        with tempfile.TemporaryDirectory() as place:
            bed = Bed(kind, Path(place))
        times = times_of(bed.denoiser, LEVELS)
        for stage in (*times, "trajectory"):
            began = time.process_time()
            if isinstance(stage, str):
                findings, told = on_the_way(bed, 1, Effort(probes=384, steps=4))
            else:
                findings, told = at_level(bed, stage, 1, Effort(samples=16384, probes=16))
            item = {
                "kind": kind,
                "prediction": prediction,
                "stage": stage if isinstance(stage, str) else f"t {stage:g}",
                "seconds": time.process_time() - began,
                "findings": [finding.to_dict() for finding in findings],
                "compared": [{**dataclasses.asdict(number), "ok": number.ok} for number in told],
            }
            print(f"{kind} {item['stage']}: {item['seconds']:.0f} s", file=sys.stderr, flush=True)
            items.append(item)
    return {"schema": "afi-verify/sd-full-size/1", "items": items}


def make_study(document: dict[str, Any]) -> Study:
    """Arrange a document as a page."""
    rows, verdicts, costs = [], [], []
    for item in document["items"]:
        where = f"{KINDS[item['kind']]}, {item['stage']}"
        draws = next((f["numbers"]["draws"] for f in item["findings"] if f["check"] == "stein"), None)
        costs.append((where, f"{item['seconds']:.0f}", "–" if draws is None else f"{draws:.0f}"))
        for f in item["findings"]:
            value, tolerance = ("–" if f[name] is None else f"{f[name]:.2g}" for name in ("value", "tolerance"))
            verdicts.append((f"{where}: {f['check']}", Cell(f["verdict"], f["verdict"]), value, tolerance))
        rows += [
            (
                f"{where}: {r['quantity']}",
                *(f"{r[name]:.6g}" for name in ("found", "truth")),
                f"{abs(r['found'] - r['truth']):.2g}",
                f"{r['tolerance']:.2g}",
                Cell("within" if r["ok"] else "off", "pass" if r["ok"] else "fail"),
            )
            for r in item["compared"]
        ]
    wrong = sum(f["verdict"] != "pass" for item in document["items"] for f in item["findings"])
    off = sum(not r["ok"] for item in document["items"] for r in item["compared"])
    numbers = Table("", ("Quantity", "Found", "Truth", "Apart", "Tolerance", ""), tuple(rows))
    judged = Table("", ("Check", "Verdict", "Value", "Tolerance"), tuple(verdicts))
    spent = Table("Processor seconds of one thread", ("", "Seconds", "Draws for the means"), tuple(costs))
    return Study(
        name="the exact model at 4×64×64",
        answer=f"{len(verdicts) - wrong} of {len(verdicts)} verdicts pass, "
        f"{len(rows) - off} of {len(rows)} numbers are within their tolerance of the truth.",
        tone="pass" if not wrong + off else "fail",
        lead=f"{COUNT} latents of d = 16,384 in the place of the network of a pipeline, saved and loaded, in float32, "
        "for noise-, v- and flow prediction. The truth is that of the oracles in NumPy, in the dimensions in which the "
        "latents differ.",
        sections=(
            Section("Numbers and the truth", tables=(numbers,)),
            Section("Verdicts", tables=(judged,)),
            Section("What it cost", tables=(spent,)),
        ),
        command="python -m tests.stable_diffusion.full_size DIR",
        environment=environment(),
    )


if __name__ == "__main__":
    measured = measure()
    study = make_study(measured)
    write_study(study, measured, Path(sys.argv[1]))
    raise SystemExit(int(study.tone != "pass"))
