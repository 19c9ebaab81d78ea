"""Checks on worker processes: the same results whatever their number, and no process takes the run with it."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from afi_verify import Adapter, UnusableError, verify
from afi_verify.conditions import fixed_conditions
from afi_verify.jobs import usual_jobs
from afi_verify.planning import make_plan
from afi_verify.results import Verdict, to_json

ADAPTERS = """
import numpy as np
import torch
from afi_verify import Adapter
from afi_verify.implementations import numpy_dirac, torch_autodiff

calls = []
adapters = []
for dtype in ("float64", "float32"):
    ours = Adapter("numpy", dtype=dtype)
    theirs = Adapter("torch", backend="torch", dtype=dtype)
    adapters += [ours, theirs]
    ours.provides("fisher_trace_matching", numpy_dirac.fisher_trace_matching)
    theirs.provides("fisher_vector_product_vjp", torch_autodiff.fisher_vector_product_vjp)


@adapters[2].provides("posterior_mean")
def remembers(x, alpha, sigma, eps):
    calls.append(1)  # state between calls: the answer depends on how many there were
    return ((x - sigma * eps) / alpha * (1 + 1e-7 * (len(calls) % 5))).astype(x.dtype)


@adapters[3].provides("posterior_mean")
def draws_without_a_seed(x, alpha, sigma, eps):
    print("chatter")
    return (x - sigma * eps) / alpha * (1 + 5e-7 * torch.rand_like(x) * float(np.random.rand()))
"""


@pytest.fixture
def several(tmp_path):
    path = tmp_path / "several.py"
    path.write_text(ADAPTERS)
    return str(path)


def as_found(text: str) -> str:
    document = json.loads(text)
    del document["seconds"], document["environment"]
    return json.dumps(document)


def right(x, alpha, sigma, eps):
    return (x - sigma * eps) / alpha


def an_adapter(function, name="subject", **options):
    adapter = Adapter(name, **options)
    adapter.provides("posterior_mean", function)
    return adapter


def verified(*adapters, **options):
    return verify(*adapters, scenarios=["dirac"], roles=["posterior_mean"], **options).results


def test_results_are_the_same_byte_for_byte_on_any_number_of_processes(several):
    options = ["--json", "--seed", "7", "--scenario", "dirac"]
    for role in ("posterior_mean", "fisher_trace_matching", "fisher_vector_product_vjp"):
        options += ["--role", role]
    found = []
    for jobs in (1, 3):
        command = [sys.executable, "-m", "afi_verify", "run", several, *options, "-j", str(jobs)]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert answer.returncode == 0, answer.stderr
        assert json.loads(answer.stdout)["environment"]["processes"] == str(jobs)
        found.append(as_found(answer.stdout))
    assert found[0] == found[1]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_results_do_not_depend_on_the_threads_of_the_caller(dtype):
    torch = pytest.importorskip("torch")
    from afi_verify.implementations import torch_dirac

    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 4):
            torch.set_num_threads(threads)
            adapter = Adapter("torch", backend="torch", dtype=dtype)
            adapter.provides("score", torch_dirac.score)
            found.append(as_found(to_json(verify(adapter, roles=["score"], scenarios=["dirac"]).results)))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


def test_generators_are_as_before_after_a_check():
    random.seed(3)
    expected = [random.random(), random.random()]
    random.seed(3)
    first = random.random()
    with fixed_conditions():
        inside = random.random()
    with fixed_conditions():
        assert random.random() == inside
    assert [first, random.random()] == expected


def test_functions_of_the_calling_process_are_sent_by_value():
    chatter = b"what it prints is no answer"

    def talks(x, alpha, sigma, eps):
        os.write(1, chatter)
        return right(x, alpha, sigma, eps)

    adapters = [an_adapter(talks), an_adapter(right, "other")]
    here, there = (as_found(to_json(verified(*adapters, jobs=jobs))) for jobs in (1, 2))
    assert here == there
    assert json.loads(there)["sum"]["pass"] == 2


def test_a_script_needs_no_main_guard(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import afi_verify\n"
        "afi = afi_verify.Adapter('mine')\n"
        "print('once')\n"
        "def helper(x, sigma, eps):\n    return x - sigma * eps\n"
        "@afi.provides('posterior_mean')\n"
        "def mean(x, alpha, sigma, eps):\n    return helper(x, sigma, eps) / alpha\n"
        "print(afi_verify.verify(afi, roles=['posterior_mean'], scenarios=['dirac'], jobs=2).ok)\n"
    )
    answer = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False)
    assert answer.stdout.split() == ["once", "True"], answer.stderr


def test_what_cannot_be_sent_is_verified_here_and_said():
    lock = threading.Lock()

    def locked(x, alpha, sigma, eps):
        with lock:
            return right(x, alpha, sigma, eps)

    with pytest.warns(UserWarning, match=r"'subject' is verified in this process: it cannot be sent .*lock"):
        results = verified(an_adapter(locked), an_adapter(right, "other"), jobs=2)
    assert [check.verdict for check in results.checks] == [Verdict.PASS, Verdict.PASS]


def test_an_adapter_changed_after_it_was_loaded_is_verified_as_it_is(several):
    from afi_verify.loading import load_adapters

    adapter = load_adapters(several)[0]
    adapter.provides("posterior_mean", right)
    with pytest.warns(UserWarning, match="was it changed after it was loaded"):
        results = verified(adapter, jobs=2)
    assert [check.verdict for check in results.checks] == [Verdict.PASS]


@pytest.mark.parametrize(
    ("end", "reason"),
    [(lambda: os._exit(3), "exit status 3"), (lambda: os.kill(os.getpid(), signal.SIGSEGV), "SIGSEGV")],
)
def test_the_death_of_a_process_is_an_error_of_its_check_alone(end, reason):
    def dies(x, alpha, sigma, eps):
        end()

    adapters = [an_adapter(right, "first"), an_adapter(dies, "deadly"), an_adapter(right, "last")]
    checks = verified(*adapters, jobs=2).checks
    assert [check.verdict for check in checks] == [Verdict.PASS, Verdict.ERROR, Verdict.PASS]
    assert checks[1].message.startswith("The process that ran it died: ")
    assert reason in checks[1].message


def test_no_process_for_a_check_is_refused():
    with pytest.raises(UnusableError, match="jobs must be at least 1; got 0"):
        verified(an_adapter(right), jobs=0)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.skipif(os.name != "posix", reason="interrupts from a terminal are signals on POSIX alone")
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupt_ends_the_run_and_its_processes(tmp_path, jobs):
    path = tmp_path / "slow.py"
    path.write_text(
        "import os, pathlib, time\nfrom afi_verify import Adapter\nafi = Adapter('slow')\n"
        f"def slow(x, alpha, sigma, eps):\n    pathlib.Path({str(tmp_path)!r}, f'{{os.getpid()}}.pid').touch()\n"
        "    time.sleep(600)\n"
        "afi.provides('posterior_mean', slow)\nafi.provides('score', slow)\n"
    )
    # The tests themselves may run in the background, where children are made to ignore interrupts. (No preexec_fn: it
    # would fork this process, in which other tests may have started JAX.)
    heeding = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    )
    command = [sys.executable, "-m", "afi_verify", "run", str(path), "--scenario", "dirac", "-j", str(jobs)]
    run = subprocess.Popen(
        [sys.executable, "-c", heeding, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while len(pids := [int(file.stem) for file in tmp_path.glob("*.pid")]) < jobs and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(pids) == jobs
    run.send_signal(signal.SIGINT)
    _, problems = run.communicate(timeout=30)
    assert run.returncode == 130
    assert "interrupted" in problems
    assert "Traceback" not in problems
    assert not any(is_running(pid) for pid in pids)


def usual(*adapters, data=None, roles=(), cores=16):
    plan = make_plan(profile="quick", seed=0, scenarios=[], roles=roles, data=data, weights=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("afi_verify.jobs._cores", lambda: cores)
        return usual_jobs(plan, adapters)


def test_one_process_per_core_but_not_more_than_four_or_than_there_is_work_for():
    from afi_verify.shipped import ADAPTERS

    assert [usual(*ADAPTERS, cores=cores) for cores in (1, 2, 4, 64)] == [1, 2, 4, 4]
    assert usual(*ADAPTERS, roles=["score"], cores=64) > 1
    assert usual(ADAPTERS[0], roles=["fisher_trace_matching"]) == 2  # the claim, and relations of the role
    assert usual() == 1


def test_nothing_large_is_copied_unasked():
    of_unknown_data = Adapter("network", event_shape=(2,))
    of_unknown_data.provides("score", lambda x, t: -x)
    of_unknown_data.provides("posterior_mean", lambda x, t: x)
    on_a_gpu = an_adapter(right, backend="torch", dtype="float32", device="cuda")
    handed = an_adapter(right, "handed")
    handed.provides("score", lambda x, data: x)
    assert usual(handed) > 1
    assert usual(handed, of_unknown_data) == usual(handed, on_a_gpu) == 1
    atoms = np.ones((2, 2**22 + 1))
    assert usual(handed, data=atoms[:, :8]) > 1
    assert usual(handed, data=atoms) == 1


def test_the_command_line_takes_the_usual_number_and_hears_the_environment(tmp_path):
    path = tmp_path / "one_role.py"
    path.write_text(
        "from afi_verify import Adapter\n"
        "afi = Adapter('one')\n"
        "afi.provides('posterior_mean', lambda x, alpha, sigma, eps: (x - sigma * eps) / alpha)\n"
    )
    command = [sys.executable, "-m", "afi_verify", "run", str(path), "--json", "--scenario", "dirac"]
    command += ["--role", "posterior_mean"]
    found = []
    for setting in ({}, {"AFI_VERIFY_JOBS": "3"}):
        environment = {name: value for name, value in os.environ.items() if name != "AFI_VERIFY_JOBS"} | setting
        answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        found.append(json.loads(answer.stdout)["environment"]["processes"])
    assert found == ["1", "3"]  # one role in one precision is no work for two
