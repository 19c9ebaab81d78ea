"""Every kind of pipeline is loaded; whatever cannot be is refused with a message that says what to do."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from afi_verify.cli import app
from afi_verify.errors import UnusableError
from afi_verify.stable_diffusion.conditioning import read_prompts
from afi_verify.stable_diffusion.denoiser import Denoiser, pack, unpack
from afi_verify.stable_diffusion.loading import load_pipeline, network_of
from afi_verify.stable_diffusion.memory import parse_size
from afi_verify.stable_diffusion.noise import PREDICTIONS, network_output, noise_prediction, schedule_of
from tests.stable_diffusion.conftest import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_a_pipeline_of_every_kind_is_loaded_and_predicts_noise(shelf, kind) -> None:
    pipeline = load_pipeline(str(shelf(kind)))
    denoiser = Denoiser(pipeline, "a cat", guidance=2.5)
    x = torch.randn(2, *denoiser.event_shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    eps = denoiser.eps(x, 300)
    assert eps.shape == x.shape
    assert eps.dtype == x.dtype
    assert bool(eps.isfinite().all())
    # The samples of a batch do not touch one another, and a time per sample is the same as one for all.
    alone = denoiser.eps(x[1:], torch.tensor([300]))
    assert torch.allclose(alone, eps[1:], atol=1e-5)
    assert not any(parameter.requires_grad for parameter in network_of(pipeline).parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_network_returns_is_what_the_pipeline_computes(shelf, kind) -> None:
    """The pipeline's own loop is the third party: what it hands to its scheduler at the first step."""
    pipeline = load_pipeline(str(shelf(kind)))
    flux, flow = kind == "flux", kind in ("flux", "sd3")
    size = 8 * pipeline.vae_scale_factor
    seen: dict = {}
    step = pipeline.scheduler.step

    def spy(model_output, t, sample, *args, **kwargs):
        scaled = sample if flow else pipeline.scheduler.scale_model_input(sample, t)
        seen.setdefault("first", (model_output, t, scaled))
        return step(model_output, t, sample, *args, **kwargs)

    pipeline.scheduler.step = spy
    guidance = {} if flux else {"guidance_scale": 3.0}
    pipeline("a cat", num_inference_steps=2, height=size, width=size, output_type="latent", **guidance)
    output, t, sample = seen["first"]
    if flux:
        output, sample = unpack(output, 8, 8), unpack(sample, 8, 8)
    denoiser = Denoiser(pipeline, "a cat", guidance=1.0 if flux else 3.0)
    assert torch.allclose(denoiser.output(sample, float(t)), output, atol=2e-5)


@pytest.mark.parametrize("kind", ["sd15", "sd2-v", "sdxl", "sd3"])
def test_alpha_and_sigma_are_those_of_the_schedulers_own_noising(shelf, kind) -> None:
    scheduler = load_pipeline(str(shelf(kind))).scheduler
    schedule = schedule_of(scheduler)
    x0, noise = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scheduler.set_timesteps(1000)
    for t in (2, 250, 900):
        if kind == "sd3":
            t = float(scheduler.timesteps[-t])
            theirs = scheduler.scale_noise(x0, torch.tensor([t]), noise)
        elif kind == "sdxl":
            # Euler's noising is that of the variance-exploding form: the data plus noise, not scaled down.
            theirs = scheduler.add_noise(x0, noise, torch.tensor([float(t)])) * schedule.alpha(float(t))
        else:
            theirs = scheduler.add_noise(x0, noise, torch.tensor([t]))
        ours = schedule.alpha(float(t)) * x0 + schedule.sigma(float(t)) * noise
        assert torch.allclose(ours, theirs, rtol=2e-4, atol=2e-5)


def test_every_prediction_says_the_same_noise() -> None:
    eps, x0 = np.random.default_rng(0).normal(size=(2, 3, 4))
    for alpha, sigma in ((0.8, 0.6), (0.3, 0.7)):
        x = alpha * x0 + sigma * eps
        wanted = {"epsilon": eps, "v_prediction": alpha * eps - sigma * x0, "sample": x0, "flow": eps - x0}
        for prediction in PREDICTIONS:
            np.testing.assert_allclose(noise_prediction(prediction, wanted[prediction], x, alpha, sigma), eps)
            np.testing.assert_allclose(network_output(prediction, eps, x, alpha, sigma), wanted[prediction])


def test_packing_is_undone_by_unpacking_and_is_that_of_the_pipeline() -> None:
    from diffusers import FluxPipeline

    x = torch.randn(2, 4, 6, 8)
    assert torch.equal(pack(x), FluxPipeline._pack_latents(x, 2, 4, 6, 8))
    assert torch.equal(unpack(pack(x), 6, 8), x)


def test_guidance_of_one_is_the_prompt_alone(shelf) -> None:
    pipeline = load_pipeline(str(shelf("sd15")), dtype="float64")
    x = torch.randn(1, 4, 8, 8, dtype=torch.float64)
    with_it, without = (Denoiser(pipeline, prompt).output(x, 500) for prompt in ("a cat", ""))
    guided = Denoiser(pipeline, "a cat", guidance=4.0).output(x, 500)
    assert torch.allclose(guided, without + 4 * (with_it - without), atol=1e-9)
    assert not torch.allclose(with_it, without, atol=1e-6)


def test_a_half_precision_network_gives_quantities_in_the_precision_of_the_latents(shelf) -> None:
    denoiser = Denoiser(load_pipeline(str(shelf("sd2-v")), dtype="bfloat16"), "a cat")
    x = torch.randn(1, 4, 8, 8)
    assert denoiser.eps(x, 1).dtype == torch.float32
    full = Denoiser(load_pipeline(str(shelf("sd2-v"))), "a cat").eps(x, 1)
    assert torch.allclose(denoiser.eps(x, 1), full, atol=0.05)


def _copy(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target


def _refused(folder: Path | str, *words: str, **options: object) -> None:
    with pytest.raises(UnusableError) as caught:
        load_pipeline(str(folder), **options)
    for word in words:
        assert word in str(caught.value)


def test_pickled_weights_are_refused_and_not_opened(shelf, tmp_path) -> None:
    folder = _copy(shelf("sd15"), tmp_path / "model")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    touched = tmp_path / "touched"

    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(touched),))

    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps(Trap()))
    load_pipeline(str(folder))  # beside safetensors it is ignored
    weights.unlink()
    _refused(folder, "pickled", "diffusion_pytorch_model.bin", "safetensors")
    assert not touched.exists()


def test_missing_files_are_named(shelf, tmp_path) -> None:
    folder = _copy(shelf("sd15"), tmp_path / "model")
    shutil.rmtree(folder / "vae")
    _refused(folder, "vae", "missing")
    (folder / "vae").mkdir()
    _refused(folder, "config.json")
    (folder / "model_index.json").unlink()
    _refused(folder, "model_index.json")
    (folder / "model_index.json").write_text("{")
    _refused(folder, "model_index.json")
    _refused(tmp_path / "nowhere", "no folder")
    single = tmp_path / "model.ckpt"
    single.write_bytes(b"x")
    _refused(single, "is a file")


def test_cut_off_weights_and_pointers_are_told_from_weights(shelf, tmp_path) -> None:
    folder = _copy(shelf("sd15"), tmp_path / "model")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    _refused(folder, "cut off")
    weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n")
    _refused(folder, "git-lfs")


def test_variants_are_found_or_named(shelf, tmp_path) -> None:
    folder = _copy(shelf("sd15"), tmp_path / "model")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    _refused(folder, "fp16", "none", variant="fp16")
    weights.rename(weights.with_name("diffusion_pytorch_model.fp16.safetensors"))
    _refused(folder, "--variant fp16")
    load_pipeline(str(folder), variant="fp16")


def test_foreign_code_is_not_run(shelf, tmp_path) -> None:
    folder = _copy(shelf("sd15"), tmp_path / "model")
    index = json.loads((folder / "model_index.json").read_text())
    index["unet"] = ["antigravity", "UNet"]
    (folder / "model_index.json").write_text(json.dumps(index))
    _refused(folder, "antigravity", "not run")
    index["_class_name"] = "StableVideoDiffusionPipeline"
    (folder / "model_index.json").write_text(json.dumps(index))
    _refused(folder, "StableVideoDiffusionPipeline", "StableDiffusionXLPipeline")


def test_too_little_memory_and_unknown_devices_are_said_before_loading(shelf) -> None:
    _refused(shelf("sd15"), "GiB", "--dtype", max_memory=1000)
    _refused(shelf("sd15"), "cuda:97", device="cuda:97")
    _refused(shelf("sd15"), "quantum", device="quantum")
    _refused(shelf("sd15"), "int4", dtype="int4")


def test_weights_that_do_not_fit_the_configuration_are_an_error_in_words(shelf, tmp_path) -> None:
    folder = _copy(shelf("sd15"), tmp_path / "model")
    file = folder / "unet" / "config.json"
    configuration = json.loads(file.read_text())
    configuration["block_out_channels"] = [16, 32]
    file.write_text(json.dumps(configuration))
    _refused(folder, "cannot be loaded as a StableDiffusionPipeline")


def test_an_unknown_kind_of_prediction_or_scheduler_is_an_error_in_words(shelf) -> None:
    from diffusers import EDMEulerScheduler

    pipeline = load_pipeline(str(shelf("sd15")))
    pipeline.scheduler.register_to_config(prediction_type="wish")
    with pytest.raises(UnusableError, match="wish"):
        Denoiser(pipeline)
    pipeline.scheduler = EDMEulerScheduler()
    with pytest.raises(UnusableError, match="EDMEulerScheduler"):
        Denoiser(pipeline)


AUDITED = """
import json, sys
seen = {"import": [], "socket.connect": [], "socket.getaddrinfo": [], "time.sleep": []}
sys.addaudithook(lambda event, args: seen[event].append(str(args[1 if event == "socket.connect" else 0]))
                 if event in seen else None)
from afi_verify.cli import app
try:
    app(sys.argv[1:])
finally:
    print(json.dumps(seen))
"""


@pytest.mark.parametrize("command", ["check", "inspect", "fig3"])
@pytest.mark.parametrize("offline", [True, False])
def test_a_hub_id_offline_is_refused_at_once_without_a_stack_trace(tmp_path, command, offline) -> None:
    """What takes long is counted, since the clock measures what else the machine does: imports and attempts."""
    # Port 9 of this machine refuses: a network without the hub.
    away = {"HF_HUB_OFFLINE": "1"} if offline else {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    model = "stable-diffusion-v1-5/stable-diffusion-v1-5"
    arguments = ["sd", command, model, *(("--report", str(tmp_path / "out")) if command != "inspect" else ())]
    done = subprocess.run(
        [sys.executable, "-c", AUDITED, *arguments],
        env={**kept, **away, "HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert f"hf download {model}" in done.stderr
    assert not (tmp_path / "out").exists()
    seen = json.loads(done.stdout)
    assert not seen["time.sleep"]
    assert len(seen["socket.connect"]) == (not offline), seen["socket.connect"]
    assert len(seen["socket.getaddrinfo"]) == (not offline)
    slow = {"torch", "diffusers", "transformers", "accelerate", "huggingface_hub", "numpy", "scipy", "vl_convert"}
    assert not slow & {name.split(".")[0] for name in seen["import"]}
    assert len(seen["import"]) < 600  # 292 when this was written, most of them typer's


def test_a_hub_without_an_answer_is_given_up(monkeypatch) -> None:
    from afi_verify.stable_diffusion import preflight

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)

    def silent(*_args, **_options):
        time.sleep(2)
        raise TimeoutError("timed out")

    monkeypatch.setattr(preflight.socket, "create_connection", silent)
    start = time.monotonic()
    with pytest.raises(UnusableError, match="cannot be reached"):
        preflight.find("owner/absent-model")
    assert time.monotonic() - start < 1.5


def test_a_hub_id_in_the_cache_needs_no_hub(shelf, tmp_path, monkeypatch) -> None:
    repository = tmp_path / "hub" / "models--owner--tiny"
    _copy(shelf("sd15"), repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    assert Denoiser(load_pipeline("owner/tiny")).event_shape == (4, 8, 8)


def test_inspect_prints_json(shelf) -> None:
    done = CliRunner().invoke(app, ["sd", "inspect", str(shelf("sd3")), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["prediction"], found["latents"]) == ("flow", [4, 8, 8])
    wrong = CliRunner().invoke(app, ["sd", "inspect", str(shelf("sd3")), "--max-memory", "lots"])
    assert wrong.exit_code == 2
    assert "no size" in wrong.output


def test_prompts_are_read_one_a_line(tmp_path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("# mine\na cat\n\n  a dög \n", encoding="utf-8")
    assert read_prompts(file) == ["a cat", "a dög"]
    file.write_text("# nothing\n")
    with pytest.raises(UnusableError, match="no prompt"):
        read_prompts(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UnusableError, match="UTF-8"):
        read_prompts(file)
    with pytest.raises(UnusableError, match="cannot be read"):
        read_prompts(tmp_path / "absent.txt")


@pytest.mark.parametrize(("text", "size"), [("6GiB", 6 * 2**30), ("500 MB", 500_000_000), ("1e3", 1000), (None, None)])
def test_sizes_of_memory(text, size) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "-1", "6 bananas", "0"])
def test_what_is_no_size_of_memory(text) -> None:
    with pytest.raises(UnusableError):
        parse_size(text)
