"""Every experiment of the paper runs on small pipelines and writes its page."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from afi_verify.cli import app
from afi_verify.stable_diffusion.denoiser import Denoiser
from afi_verify.stable_diffusion.exact_head import load_head
from afi_verify.stable_diffusion.loading import load_pipeline, network_of
from afi_verify.stable_diffusion.products import Products


def _run(*arguments: object):
    done = CliRunner().invoke(app, ["sd", *map(str, arguments)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done


def _document(folder):
    page = (folder / "index.html").read_text()
    assert page.count("<script") == 1  # the page's own
    return json.loads((folder / "results.json").read_text())


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A CLIP model, small and random, and a reference image."""
    from PIL import Image
    from transformers import CLIPConfig, CLIPModel

    from afi_verify.stable_diffusion.tiny import _tokenizer

    folder = tmp_path_factory.mktemp("clip")
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**small, "vocab_size": 100, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    vision = {**small, "image_size": 16, "patch_size": 8}
    torch.manual_seed(0)
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "reference.png")
    save_file({"weight": torch.randn(1, 8), "bias": torch.zeros(1)}, folder.parent / "aesthetic.safetensors")
    return folder


@pytest.mark.parametrize("kind", ["sd15", "sd3"])
def test_table1_times_each_way(shelf, tmp_path, kind) -> None:
    folder = shelf(kind, exact=8)
    _run("table1", folder, "--report", tmp_path, "--head", folder / "head", "--repeats", 2)
    document = _document(tmp_path)
    ways = {(row["quantity"], row["method"]): row for row in document["rows"]}
    assert ways["operator", "AFI-EA"]["graph_bytes"] == 0 < ways["operator", "VJP"]["graph_bytes"]
    assert document["ratios"]["trace"] > 1
    assert all(row["seconds"] > 0 for row in document["rows"])


def test_fig1_trains_a_head_that_can_be_loaded_and_beats_the_constant(shelf, tmp_path) -> None:
    folder = shelf("sd15", exact=8)
    # Norms that differ, or there would be nothing to learn.
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.3, 2.0]).reshape(
        2, 1, 1, 1
    )
    save_file({"latents": latents}, tmp_path / "latents.safetensors")
    options = ("--latents", tmp_path / "latents.safetensors", "--steps", 120, "--batch", 32, "--channels", "8,8")
    _run("fig1", folder, "--report", tmp_path / "out", *options, "--rate", "0.005")
    document = _document(tmp_path / "out")
    assert document["curve"][-1]["loss"] < 0.7 * document["constant"]
    head = load_head(tmp_path / "out" / "head")
    said = head(latents, 100.0)
    assert said.shape == (2,)
    assert said[0] < said[1]


def test_fig2_has_likelihood_and_clip_score_over_guidance(shelf, clip, tmp_path) -> None:
    quick = ("--generation-steps", 2, "--steps", 2, "--probes", 2)
    options = ("--guidances", "1,5", "--seeds", 2, "--prompt", "a cat", "--clip", clip)
    _run("fig2", shelf("sd15"), "--report", tmp_path, *options, *quick)
    rows = _document(tmp_path)["rows"]
    assert len(rows) == 4
    assert all(np.isfinite(row["bits_per_dim"]) and -1 <= row["clip_score"] <= 1 for row in rows)
    assert "data:image" in (tmp_path / "index.html").read_text()


def test_fig3_sorts_seeds_and_goes_on_where_it_was(shelf, tmp_path) -> None:
    quick = ("--generation-steps", 2, "--steps", 2, "--probes", 2, "--seeds", 3)
    _run("fig3", shelf("sd3", exact=8), "--report", tmp_path, *quick)
    before = _document(tmp_path)["rows"]
    kept = (tmp_path / "results-0.jsonl").read_bytes()
    (tmp_path / "results-0.jsonl").write_bytes(kept[: len(kept) // 2])
    _run("fig3", shelf("sd3", exact=8), "--report", tmp_path, *quick)
    assert _document(tmp_path)["rows"] == before


def test_the_likelihood_of_fig2_and_fig3_is_the_true_one(shelf) -> None:
    """Of an exact model, with its head and with probes, against the oracle of the flow."""
    from afi_reference.flow import FlowOracle
    from afi_verify.implementations.torch_likelihood import bits_per_dim, normal_log_density
    from afi_verify.stable_diffusion.levels import spread_times
    from afi_verify.stable_diffusion.paper.nll import negative_log_likelihood

    folder = shelf("sd2-v", exact=8)
    denoiser = Denoiser(load_pipeline(str(folder), dtype="float64"))
    products, x0 = Products(denoiser.eps), network_of(denoiser.pipeline).latents[:1].double()
    head = load_head(folder / "head").double()
    times = spread_times(denoiser.schedule, 5)
    oracle, x = FlowOracle(network_of(denoiser.pipeline).law(), denoiser.schedule), denoiser.alpha(times[0]) * x0
    flat, ends = x.flatten(1).numpy(), (times[0], times[-1])
    end = torch.as_tensor(oracle.transport(flat, *ends).value)
    nats = normal_log_density(end, denoiser.sigma(times[-1])) + float(oracle.log_determinant(flat, *ends).value[0])
    truth = float(bits_per_dim(nats, 256)[0])
    found = negative_log_likelihood(denoiser, products, x0, steps=24, probes=4, seed=0, head=head)
    assert found["bits_per_dim"] == pytest.approx(truth, abs=5e-4)
    probed = negative_log_likelihood(denoiser, products, x0, steps=24, probes=64, seed=0)
    assert abs(probed["bits_per_dim"] - truth) < 3 * probed["error"] + 5e-4


@pytest.mark.parametrize("score", ["target", "clip", "aesthetic", "identity"])
def test_fig4_guides_by_each_score(shelf, clip, tmp_path, score) -> None:
    quick = ("--steps", 4, "--adjoint-steps", 1, "--counts", "0,2", "--seeds", 1, "--prompt", "a cat")
    files = (
        "--clip",
        clip,
        "--aesthetic",
        clip.parent / "aesthetic.safetensors",
        "--reference",
        clip / "reference.png",
    )
    _run("fig4", shelf("sd15"), "--report", tmp_path, "--score", score, *files, *quick)
    rows = _document(tmp_path)["rows"]
    assert [row["method"] for row in rows] == ["none", "vjp", "afi-ea", "trivial"]
    assert rows[0]["score"] is not None
    assert rows[1]["score"] is not None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fig4", "--score", "beauty"), "not known"),
        (("fig4", "--score", "clip"), "--clip"),
        (("fig4", "--counts", "-1", "--reference", "x.png"), "whole numbers"),
        (("fig4", "--reference", "absent.png"), "cannot be read"),
        (("fig2", "--guidances", "much"), "for example"),
        (("fig2", "--clip", "absent"), "config.json"),
        (("fig1", "--latents", "absent"), "cannot be read"),
        (("table1", "--t", "5000"), "outside"),
    ],
)
def test_what_cannot_be_used_is_said(shelf, tmp_path, monkeypatch, arguments, words) -> None:
    monkeypatch.chdir(tmp_path)
    command, *options = arguments
    done = CliRunner().invoke(app, ["sd", command, str(shelf("sd15")), "--report", str(tmp_path / "out"), *options])
    assert done.exit_code == 2, done.output
    assert words in done.output
