"""Adapters that do what no function should: the right verdict with its cause, and nothing else is touched."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ADAPTERS, WITH_TORCH = HERE / "adapters.py", HERE / "torch_adapters.py"

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and forks are those of POSIX")

KINDS = {
    "segmentation fault": ("error", r"died: signal SIGSEGV, a segmentation fault \(adapters\.py, line \d+\)\."),
    "abort": ("error", r"died: signal SIGABRT, an abort \(adapters\.py, line \d+\)\."),
    "os._exit": ("error", r"died: exit status 3\."),
    "sys.exit": ("error", r"raised SystemExit: 0 \(adapters\.py, line \d+\)"),
    "infinite loop": ("error", r"did not end within 6 s \(--timeout\), and was stopped \(adapters\.py, line \d+\)\."),
    "hangs in C and ignores signals": ("error", r"did not end within 6 s .*adapters\.py, line \d+"),
    "stops itself": ("error", r"did not end within 6 s"),
    "memory bit by bit": ("error", r"more than 600 MiB of memory \(--max-memory\), .*\(adapters\.py, line \d+\)\."),
    "memory at once": ("error", r"raised MemoryError: Unable to allocate 8\.00 PiB"),
    "child returns": ("error", "It forked a process that returned from it, too"),
    "child raises": ("error", "It forked a process that returned from it, too"),
    "child goes on": ("pass", "^$"),
    "dies and leaves a child": ("error", r"died: exit status 5\."),
    "leaves a thread": ("pass", "^$"),
    "flood": ("error", "raised ValueError: after the flood"),
    "closes standard output": ("error", r"It changed the standard streams of the process \(standard output\)"),
    "closes standard error": ("error", r"It changed the standard streams of the process \(standard error\)"),
    "closes sys.stdout": ("error", r"It changed Python's standard streams \(sys\.stdout\)"),
    "replaces sys.stderr": ("error", r"It changed Python's standard streams \(sys\.stderr\)"),
    "closes all files": ("error", "closed the way for its answer"),
    "changes the folder": ("error", r"It changed the working directory \(\S+ → /\)"),
    "deletes the folder": ("error", r"It changed the working directory \(\S+ → one that is gone\)"),
    "NumPy's error state": ("error", "It changed NumPy's error state"),
    "changes a variable": ("error", r"It changed environment variables \(PATH\)"),
    "adds a variable": ("pass", "^$"),
    "signal handler": ("error", r"It changed signal handlers \(SIGALRM\)"),
    "patches NumPy": ("error", r"It changed numpy\.einsum, which it replaced"),
    "patches Python": ("error", r"It changed builtins\.sum, which it replaced"),
    "seeds": ("pass", "^$"),
    "warnings are errors": ("pass", "^$"),
    "warns": ("pass", "^$"),
    "mutates": ("error", "It changed its argument 'x' in place"),
    "returns its input": ("fail", "It is off by"),
    "reuses a buffer": ("error", "returned a view of memory that it uses again"),
    "not deterministic": ("fail", "the answer is another one when the same question is asked again"),
    "generator": ("error", "It returned a generator; expected a numpy array"),
    "None": ("error", "It returned None; expected a numpy array"),
    "string": ("error", "It returned a str; expected a numpy array"),
    "list": ("error", "It returned a list; expected a numpy array"),
    "lazy array": ("error", r"It returned a dask\.array\.core\.Array; expected a numpy array"),
    "object array": ("error", "It returned object for float64 arguments"),
    "huge array": ("error", r"It returned shape \(1048576, 64\); expected"),
    "NaN": ("fail", "It returned a NaN or an infinity where the truth is finite"),
    "float32": ("error", "It returned float32 for float64 arguments"),
    "complex": ("error", "It returned complex128 for float64 arguments"),
    "masked array": ("error", r"It returned a numpy\.ma\.MaskedArray; expected a numpy array"),
    "matrix": ("error", r"It returned a numpy\.matrix; expected a numpy array"),
    "subclass": ("error", "It returned a Subclass; expected a numpy array"),
    "faker": ("error", "It returned a Faker; expected a numpy array"),
    "unreadable exception": ("error", r"raised UnreadableError: \(a message that cannot be read, .* RuntimeError\)"),
    "BaseException": ("error", "raised Unusual: rare"),
    "KeyboardInterrupt": ("error", r"raised KeyboardInterrupt: \(no message\)"),
    "GeneratorExit": ("error", "raised GeneratorExit"),
    "recursion": ("error", "raised RecursionError: maximum recursion depth exceeded"),
    "message with markup": ("error", r"raised ValueError: \[red\]<script>alert\(1\)</script>�\[2J"),
    "<b>[red]name[/red]</b>": ("error", "It returned None"),
    "innocent, first": ("pass", "^$"),
    "innocent, last": ("pass", "^$"),
}

TORCH_KINDS = {
    "torch's default dtype": ("error", r"It changed torch's default dtype \(torch\.float32 → torch\.float64\)"),
    "torch's default device": ("error", r"It changed torch's default device \(cpu → meta\)"),
    "torch's threads": ("error", r"It changed torch's number of threads \(1 → 2\)"),
    "torch's gradient mode": ("error", r"It changed torch's gradient mode \(True → False\)"),
    "subclass": ("error", r"Its answer, a Subclass, cannot be read: RuntimeError: no\."),
    "on another device": ("error", "cannot be read"),
    "segmentation fault": ("error", "died: signal SIGSEGV"),
    "innocent, first": ("pass", "^$"),
    "innocent, last": ("pass", "^$"),
}


def run(file, *options, folder):
    command = [sys.executable, "-m", "afi_verify", "run", str(file), "--role", "posterior_mean", "--scenario", "dirac"]
    started = time.monotonic()
    done = subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode in (0, 1), done.stderr
    results = json.loads((folder / "out" / "results.json").read_text())
    found = {adapter["name"]: adapter["checks"][0] for adapter in results["adapters"]}
    return (
        found,
        {check.split("/")[0]: printed for check, printed in results["output"].items()},
        done,
        time.monotonic() - started,
    )


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    return run(ADAPTERS, "--timeout", "6", "--max-memory", "600M", "--report", "out", folder=folder)


def judge(found, kinds):
    wrong = {}
    for name, (verdict, cause) in kinds.items():
        check = found[name]
        if check["verdict"] != verdict or not re.search(cause, check["message"]):
            wrong[name] = check["verdict"], check["message"]
    return wrong


def test_each_has_its_verdict_and_cause(hostile):
    found, *_ = hostile
    assert set(found) == set(KINDS)
    assert judge(found, KINDS) == {}


def test_the_others_are_judged_as_without_them(hostile, tmp_path):
    found, *_ = hostile
    source = ADAPTERS.read_text()
    alone = re.sub(r"# It dies\..*(?=hostile\(right, .innocent, last)", "", source, flags=re.DOTALL)
    (tmp_path / "innocents.py").write_text(alone)
    without, *_ = run(tmp_path / "innocents.py", "--report", "out", folder=tmp_path)
    assert set(without) == {"innocent, first", "innocent, last"}
    assert {name: found[name] for name in without} == without


def test_what_they_print_is_shown_in_part(hostile):
    _, output, done, _ = hostile
    assert 3000 < len(output["flood"]) < 5000
    assert "bytes left out" in output["flood"]
    assert "| out out" in done.stdout
    assert "innocent, first" not in output
    assert "\x1b" not in done.stdout
    assert "<b>[red]name[/red]</b>" in done.stdout


def test_nothing_is_left_behind(hostile):
    psutil = pytest.importorskip("psutil")
    mine = [p for p in psutil.process_iter(["cmdline"]) if "afi_verify.worker" in " ".join(p.info["cmdline"] or [])]
    leftovers = [p for p in mine if str(ADAPTERS.parent) in " ".join(p.cmdline()) or p.ppid() == 1]
    assert leftovers == []


def test_with_torch(tmp_path):
    pytest.importorskip("torch")
    found, *_ = run(WITH_TORCH, "--report", "out", folder=tmp_path)
    assert set(found) == set(TORCH_KINDS)
    assert judge(found, TORCH_KINDS) == {}
    assert found["innocent, last"]["points"] == found["innocent, first"]["points"]
