"""Adapters that do what no function should: the right verdict with its cause, and nothing else is touched."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ADAPTERS, DEADLY, WITH_TORCH = (HERE / name for name in ("adapters.py", "deadly_adapters.py", "torch_adapters.py"))

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

DEADLY_KINDS = {
    "kills its parent": ("error", "died: its parent process was killed"),
    "kills its process group": ("error", "died: its parent process was killed, or its process group"),
    "leaves a demon": ("pass", "^$"),
    "segmentation fault in a thread": ("error", "died: signal SIGSEGV"),
    "a thread ends the process later": (
        "pass|error",
        r"^$|died: exit status 4\.",
    ),  # on a slow machine in its own check
    "the fault handler ends the process later": ("pass|error", r"^$|died: exit status 1\."),
    "lowers the limit of files": ("error", r"It changed limits of resources \(RLIMIT_NOFILE\)"),
    "removes NumPy": ("error", "afi-verify itself failed while it checked this .*did something to the process"),
    "forgets where modules are": ("pass", "^$"),
    "empties its adapter": ("error", "afi-verify itself failed while it checked this .*did something to the process"),
    "opens many files": ("pass", "^$"),
    "empties the report's folder": ("pass", "^$"),
    "right all the time": ("pass", "^$"),
    "coroutine": ("error", "It returned a coroutine; expected a numpy array"),
    "deletes its own file": ("pass", "^$"),
}

HARMLESS_KINDS = {
    "sets the alarm clock": ("error", r"It changed the alarm clock of the process \(off → on\)"),
    "lowers the limit of recursion": ("error", r"It changed the limit of recursion \(\d+ → \d+\)"),
    "raises the limit of recursion": ("pass", "^$"),  # as torch.compile does
    "switches garbage collection off": ("error", r"It changed garbage collection \(on → off\)"),
    "changes how threads switch": ("error", r"It changed the interval at which threads switch \(0.005 → 1.0\)"),
    "changes the locale": ("error", "It changed the locale"),
    "changes the umask": ("error", r"It changed the umask \(\d+ → 777\)"),
    "profiles": ("error", r"It changed the profile function \(.* → <function [^ ]*>\)"),
    "patches json": ("error", r"It changed json\.dumps, which it replaced"),
    "patches time": ("error", r"It changed time\.perf_counter, which it replaced"),
    "patches os": ("error", r"It changed os\.write, which it replaced"),
    "a thread raises SystemExit": ("pass", "^$"),
    "lying subclass": ("error", "It returned a Liar; expected a numpy array"),
    "number that wants to be an array": ("error", "It returned a Number; expected a numpy array"),
    "structured array": ("error", r"It returned \[\('field', '<f8'\)\] for float64 arguments"),
    "byte-swapped array": ("error", "It returned [<>]f8 for float64 arguments"),
    "longdouble": ("error", "It returned longdouble for float64 arguments"),
    "memory map": ("error", r"It returned a numpy\.memmap; expected a numpy array"),
    "read-only array": ("pass", "^$"),
    "array that runs backwards": ("pass", "^$"),
    "Fortran order": ("pass", "^$"),
    "endless broadcast": ("error", r"It returned shape \(1099511627776, "),
    "tuple": ("error", "It returned a tuple; expected a numpy array"),
    "message of 10 MB": ("error", r"It raised Endless: x{300} \(harmless_adapters\.py, line \d+\)\. So in"),
    "exception without a name": ("error", "It raised Nameless: here"),
    "exception group": ("error", "It raised BaseExceptionGroup: two"),
    "code without a file": ("error", r"It raised ZeroDivisionError: division by zero \((�\[2J){25}, line 1\)"),
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


def run(files, *options, folder):
    command = [sys.executable, "-m", "afi_verify", "run", *map(str, files), "--role", "posterior_mean"]
    command += ["--scenario", "dirac"]
    done = subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode in (0, 1), done.stderr
    results = json.loads((folder / "out" / "results.json").read_text())
    found = {adapter["name"]: adapter["checks"][0] for adapter in results["adapters"]}
    return (
        found,
        {check.split("/")[0]: printed for check, printed in results["output"].items()},
        done,
        folder,
    )


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    shutil.copy(DEADLY, folder)
    return run(
        [ADAPTERS, folder / DEADLY.name], "--timeout", "6", "--max-memory", "600M", "--report", "out", folder=folder
    )


def judge(found, kinds):
    wrong = {}
    for name, (verdict, cause) in kinds.items():
        check = found[name]
        if not re.fullmatch(verdict, check["verdict"]) or not re.search(cause, check["message"]):
            wrong[name] = check["verdict"], check["message"]
    return wrong


def test_each_has_its_verdict_and_cause(hostile):
    found, *_ = hostile
    assert set(found) == set(KINDS | DEADLY_KINDS)
    assert judge(found, KINDS | DEADLY_KINDS) == {}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # one of them lets a thread exit
def test_what_leaves_the_process_alive_has_its_verdict_and_cause():
    from afi_verify import verify
    from afi_verify.loading import load_adapters

    adapters = load_adapters(str(HERE / "harmless_adapters.py"))
    results = verify(*adapters, roles=["posterior_mean"], scenarios=["dirac"]).results
    found = {adapter.name: dataclasses.asdict(adapter.checks[0]) for adapter in results.adapters}
    assert set(found) == set(HARMLESS_KINDS)
    assert judge(found, HARMLESS_KINDS) == {}


def test_the_others_are_judged_as_without_them(hostile, tmp_path):
    found, *_ = hostile
    source = ADAPTERS.read_text()
    alone = re.sub(r"# It dies\..*(?=hostile\(right, .innocent, last)", "", source, flags=re.DOTALL)
    (tmp_path / "innocents.py").write_text(alone)
    without, *_ = run([tmp_path / "innocents.py"], "--report", "out", folder=tmp_path)
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
    demon = int((hostile[-1] / "demon.pid").read_text())
    assert not psutil.pid_exists(demon) or psutil.Process(demon).status() == psutil.STATUS_ZOMBIE
    leftovers = [p for p in mine if str(ADAPTERS.parent) in " ".join(p.cmdline()) or p.ppid() == 1]
    assert leftovers == []


def test_with_torch(tmp_path):
    pytest.importorskip("torch")
    found, *_ = run([WITH_TORCH], "--report", "out", folder=tmp_path)
    assert set(found) == set(TORCH_KINDS)
    assert judge(found, TORCH_KINDS) == {}
    assert found["innocent, last"]["points"] == found["innocent, first"]["points"]
