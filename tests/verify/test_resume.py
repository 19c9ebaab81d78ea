"""Nothing is lost: a run that is killed goes on, and what is in the way of writing is said and harms nothing."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from afi_verify.journal import NAME

KILLS = int(os.environ.get("AFI_VERIFY_TEST_KILLS", "5"))
"""How many runs are killed; 100 of them take some minutes."""

ADAPTERS = """
from afi_verify import Adapter

adapters = []
for number in range(8):
    adapter = Adapter(f"adapter {number}", dtype=("float64", "float32")[number % 2])
    adapters.append(adapter)


    @adapter.provides("posterior_mean")
    def mean(x, alpha, sigma, eps, wrong=number == 5):
        if wrong:
            print("wrong")
        return ((x - sigma * eps) / alpha * (1 + wrong)).astype(x.dtype)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "adapters.py").write_text(ADAPTERS)
    return tmp_path


def command(*options, report="out"):
    head = [sys.executable, "-m", "afi_verify", "run", "adapters.py", "--role", "posterior_mean", "--scenario", "dirac"]
    return [*head, "-j", "1", "--report", report, *options]


def run(folder, *options, report="out", **more):
    words = command(*options, report=report)
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300, check=False, **more)
    return done.returncode, done.stderr


def start(folder, *options):
    return subprocess.Popen(command(*options), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def as_found(report):
    """``results.json`` as text, without times and environment."""
    document = json.loads((report / "results.json").read_text())
    del document["seconds"], document["environment"]
    return json.dumps(document, indent=1)


def whole_lines(report):
    return (report / NAME).read_bytes().count(b"\n") if (report / NAME).exists() else 0


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a signal of POSIX")
def test_runs_killed_at_random_moments_end_with_the_same_results(folder):
    began = time.monotonic()
    assert run(folder, report="whole")[0] == 1
    took = time.monotonic() - began
    assert whole_lines(folder / "whole") == 0
    expected = as_found(folder / "whole")
    assert json.loads(expected)["sum"]["planned"] == 8
    assert set(json.loads(expected)["output"]) == {"adapter 5/float32/posterior_mean/prop-2/dirac"}
    moments, killed, kept = random.Random(7), 0, []
    while killed < KILLS:
        process = subprocess.Popen(
            command("--resume"), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(moments.uniform(0, took))
        except subprocess.TimeoutExpired:
            before = whole_lines(folder / "out")
            process.kill()
            process.wait()
            killed += 1
            kept.append(whole_lines(folder / "out"))
            assert kept[-1] >= before, "what was written is lost"
        else:
            assert as_found(folder / "out") == expected
    assert run(folder, "--resume")[0] == 1
    assert as_found(folder / "out") == expected
    if KILLS >= 5:
        assert max(kept) > 1, f"no run was killed between two results: {kept}"


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unfinished")
    (folder / "adapters.py").write_text(ADAPTERS)
    process = start(folder)
    while whole_lines(folder / "out") < 5 and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    process.wait()
    journal = folder / "out" / NAME
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:4]) + lines[4][:100])
    return folder


@pytest.fixture
def unfinished(folder, template):
    """The folder with the journal of a run of which the first three results are there, and half of the fourth."""
    shutil.copytree(template / "out", folder / "out")
    return folder


def test_half_a_line_is_dropped_and_known_results_do_not_run_again(unfinished):
    file = unfinished / "out" / NAME
    first = json.loads(file.read_bytes().splitlines()[1])
    first["seconds"] = 1234.0
    lines = file.read_bytes().split(b"\n")
    lines[1] = json.dumps(first).encode()
    file.write_bytes(b"\n".join(lines))
    assert run(unfinished, "--resume")[0] == 1
    results = json.loads((unfinished / "out" / "results.json").read_text())
    assert [s for name, s in results["seconds"].items() if name != "total"].count(1234.0) == 1
    assert results["sum"]["planned"] == 8
    assert not file.exists()


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (None, ["--seed", "3"], "is of another run: the seed differ"),
        (lambda text: text.replace(b"/journal/1", b"/journal/0"), [], "line 1: no result of this version .*schema"),
        (lambda text: text.replace(b'"verdict": "pass"', b'"verdict": "fine"', 1), [], "line 2: .*'fine' is none of"),
        (lambda text: b"\x00\xff" * 50 + b"\n" + text, [], "line 1: no result of this version"),
    ],
)
def test_what_cannot_be_resumed_is_explained_and_left_as_it_is(unfinished, change, options, message):
    file = unfinished / "out" / NAME
    if change is not None:
        file.write_bytes(change(file.read_bytes()))
    before = file.read_bytes()
    status, problem = run(unfinished, "--resume", *options)
    assert status == 2
    assert re.search(message, problem), problem
    assert "Traceback" not in problem
    assert file.read_bytes() == before


def test_an_adapter_that_was_edited_is_another_run(unfinished):
    (unfinished / "adapters.py").write_text(ADAPTERS + "\n# edited\n")
    status, problem = run(unfinished, "--resume")
    assert (status, "the adapters' files differ" in problem) == (2, True)


@pytest.mark.skipif(os.name != "posix", reason="limits of the size of files are those of POSIX")
def test_a_full_disk_is_said_and_the_run_goes_on_when_there_is_room(folder):
    assert run(folder, report="whole")[0] == 1
    small = (
        "import os, resource, runpy, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); sys.argv = sys.argv[1:];"
        "runpy.run_module('afi_verify', run_name='__main__')"
    )
    head = [sys.executable, "-c", small, "afi_verify"]
    done = subprocess.run([*head, *command()[3:]], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "a result cannot be written" in done.stderr
    assert "run the same again with --resume" in done.stderr
    assert whole_lines(folder / "out") >= 2
    assert not (folder / "out" / "results.json").exists()
    assert run(folder, "--resume")[0] == 1
    assert as_found(folder / "out") == as_found(folder / "whole")


def test_two_runs_do_not_write_into_one_folder(folder):
    first = start(folder)
    while whole_lines(folder / "out") < 1 and first.poll() is None:
        time.sleep(0.005)
    first.send_signal(signal.SIGSTOP)
    try:
        before = (folder / "out" / NAME).read_bytes()
        status, problem = run(folder)
        assert (folder / "out" / NAME).read_bytes() == before
    finally:
        first.send_signal(signal.SIGCONT)
    assert status == 2
    assert "another run is writing there" in problem
    assert first.wait(120) == 1


def test_resume_needs_a_folder(folder):
    words = [word for word in command("--resume") if word not in ("--report", "out")]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, "--report DIR" in done.stderr) == (2, True)
