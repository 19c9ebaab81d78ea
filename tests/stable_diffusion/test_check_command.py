"""`afi-verify sd check`: its page, its verdicts, and that nothing is lost or done twice whatever happens to it."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from afi_verify.cli import app
from afi_verify.errors import UnusableError
from afi_verify.stable_diffusion.ledger import read_rows, run_items
from tests.stable_diffusion import kills

QUICK = ("--levels", "2", "--samples", "32", "--probes", "8", "--steps", "2")


def _check(folder: Path, out: Path, *options: str):
    return CliRunner().invoke(app, ["sd", "check", str(folder), "--report", str(out), *QUICK, *options])


def _items(out: Path):
    return json.loads((out / "results.json").read_text())["items"]


def test_an_exact_pipeline_is_checked_with_its_head_and_a_page(shelf, tmp_path) -> None:
    folder = shelf("sd15", exact=64)
    options = ("--head", str(folder / "head"), "--samples", "16384", "--dtype", "float64", "--t", "279")
    done = _check(folder, tmp_path, *options, "--steps", "16", "--probes", "256")
    assert done.exit_code == 0, done.output
    document = json.loads((tmp_path / "results.json").read_text())
    assert document["planned"] == sum(document["verdicts"].values()) == document["verdicts"]["pass"] == 20
    page = (tmp_path / "index.html").read_text()
    assert "20 pass" in page
    assert page.count("<script") == 1  # the page's own


@pytest.mark.parametrize("kind", ["sd2-v", "sdxl", "flux"])
def test_a_random_pipeline_of_each_kind_is_checked_on_latents_that_it_draws(shelf, tmp_path, kind) -> None:
    extra = ("--t", "500", "--no-trajectory") if kind != "sd2-v" else ("--t", "500")
    done = _check(shelf(kind), tmp_path, "--prompt", "a cat", "--generate", "3", "--generation-steps", "2", *extra)
    assert done.exit_code == 1, done.output  # a random network is the score of nothing
    findings = {finding["check"]: finding for item in _items(tmp_path) for finding in item["findings"]}
    assert findings["vjp-and-jvp"]["verdict"] == findings["noising"]["verdict"] == "pass"
    assert not [finding for finding in findings.values() if finding["verdict"] == "error"]


def test_images_are_encoded_with_the_scaling_of_the_vae(shelf, tmp_path) -> None:
    import numpy as np
    from PIL import Image

    images = tmp_path / "images"
    images.mkdir()
    for k in range(2):
        Image.fromarray(np.random.default_rng(k).integers(0, 255, (20, 20, 3), dtype=np.uint8)).save(
            images / f"{k}.png"
        )
    done = _check(shelf("sd15"), tmp_path / "out", "--images", str(images), "--t", "500", "--no-trajectory")
    assert done.exit_code == 1, done.output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--t", "5000"), "outside"),
        (("--t", "many"), "no timesteps"),
        (("--latents", "absent.safetensors"), "cannot be read"),
        (("--images", "."), "no image"),
        (("--prompts", "absent.txt"), "cannot be read"),
        (("--head", "absent"), "config.json"),
        (("--latent-size", "7"), ""),
    ],
)
def test_what_cannot_be_used_is_said_and_nothing_is_written(shelf, tmp_path, monkeypatch, options, words) -> None:
    monkeypatch.chdir(tmp_path)
    kind = "flux" if "--latent-size" in options else "sd15"
    done = _check(shelf(kind), tmp_path / "out", *options)
    assert done.exit_code == 2, done.output
    assert "unusable" in done.output
    assert words in done.output
    assert not (tmp_path / "out" / "results.json").exists()


def test_an_interrupted_run_goes_on_and_ends_with_the_same_results(shelf, tmp_path) -> None:
    folder = shelf("sd15", exact=8)
    assert _check(folder, tmp_path / "whole").exit_code in (0, 1)
    whole = _items(tmp_path / "whole")
    torn = tmp_path / "torn"
    torn.mkdir()
    (torn / "settings.json").write_bytes((tmp_path / "whole" / "settings.json").read_bytes())
    kept = (tmp_path / "whole" / "results-0.jsonl").read_bytes().splitlines(keepends=True)
    (torn / "results-0.jsonl").write_bytes(kept[0] + kept[1][: len(kept[1]) // 2])
    _check(folder, torn)
    assert _items(torn) == whole
    lines = (torn / "results-0.jsonl").read_bytes().splitlines()
    assert len(lines) == len(whole) == 3
    refused = _check(folder, torn, "--guidance", "2")
    assert refused.exit_code == 2
    assert "guidance" in refused.output


WORKER = """
import sys, time
from pathlib import Path
from afi_verify.stable_diffusion.ledger import run_items
def work(item):
    time.sleep(0.02)
    return {"square": int(item) ** 2, "padding": "x" * 20000}
run_items(Path(sys.argv[1]), {"a": 1}, [str(k) for k in range(100)], work)
"""


def test_killed_at_ten_random_moments_it_loses_and_repeats_nothing(tmp_path) -> None:
    moments = random.Random(0)
    command = [sys.executable, "-c", WORKER, str(tmp_path)]
    kills = 0
    file = tmp_path / "results-0.jsonl"
    for items in sorted(moments.sample(range(1, 90), 10)):
        process = subprocess.Popen(command)
        # By progress, not by the clock: a fast machine would be done before the last of ten moments.
        while process.poll() is None and (file.read_bytes().count(b"\n") if file.exists() else 0) < items:
            time.sleep(moments.uniform(0, 0.003))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills > 5
    subprocess.run(command, check=True)
    rows = [json.loads(line) for line in file.read_bytes().splitlines()]
    assert [row["item"] for row in rows] == [str(k) for k in range(100)]
    assert all(row["square"] == int(row["item"]) ** 2 for row in rows)


def test_two_runs_in_one_folder_are_refused(tmp_path) -> None:
    def work(item):
        with pytest.raises(UnusableError, match="another run"):
            run_items(tmp_path, {}, ["a"], lambda _: {})
        return {}

    run_items(tmp_path, {}, ["a"], work)
    assert [row["item"] for row in read_rows(tmp_path)] == ["a"]


def test_items_are_shared_whatever_the_number_of_processes_was_before(tmp_path) -> None:
    items = [str(k) for k in range(9)]
    run_items(tmp_path, {}, items, lambda item: {"by": 1}, rank=1, world=3)
    run_items(tmp_path, {}, items, lambda item: {"by": 0})
    rows = list(read_rows(tmp_path))
    assert sorted(row["item"] for row in rows) == items
    assert sum(row["by"] for row in rows) == 3


def test_the_command_is_killed_alone_and_under_torchrun_and_ends_with_the_same_results(shelf, tmp_path) -> None:
    """Two kills; reports/sd-kills has ten of each."""
    folder, out = shelf("sd15", exact=8), tmp_path / "killed"
    options = (*QUICK, "--seeds", "2")
    _check(folder, tmp_path / "whole", *options)
    draw = random.Random(3)
    for processes, moment in ((1, draw.uniform(1, 3)), (2, draw.uniform(3, 5))):
        line = kills.command(folder, out, options, processes)
        where = kills.kill_at(line, out, moment, 0.5)
        assert where in ("start", "items"), (processes, moment)
    kills.start(kills.command(folder, out, options, 2)).wait()
    assert kills.differences(out, tmp_path / "whole") == []
    assert len(list(out.glob("results-*.jsonl"))) == 2
