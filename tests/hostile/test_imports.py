"""Files of adapters that misbehave when they are imported: the main process imports none; the others are checked."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time

import pytest

from afi_verify.limits import Limits
from afi_verify.scouting import look_into, scout
from afi_verify.worker_handle import Worker

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and forks are those of POSIX")

ADAPTER = """
from afi_verify import Adapter

afi = Adapter("adapter")


@afi.provides("posterior_mean")
def mean(x, alpha, sigma, eps):
    return (x - sigma * eps) / alpha
"""

DEADLY = {
    "import ctypes; print('bye'); ctypes.string_at(0)": r"died: signal SIGSEGV, .* \(adapter\.py, line 1\)\.",
    "import os; os._exit(0)": r"died: exit status 0\.",
    "import numpy; hoard = numpy.ones(2**27); import time; time.sleep(1000)": (
        r"it used more than 600 MiB of memory \(--max-memory\), and was stopped \(adapter\.py, line 1\)"
    ),
    "import os; os.kill(os.getppid(), 9); import time; time.sleep(9)": "its parent process was killed",
}

SURVIVED = {
    "raise SystemExit": r"cannot be imported: SystemExit: \(no message\) \(line 1\)",
    "raise KeyboardInterrupt": "cannot be imported: KeyboardInterrupt",
    "raise type('Mute', (Exception,), {'__str__': lambda self: 1 / 0})": r"Mute: \(a message that cannot be read",
    "import os; os.fork()": "importing it forks a process that goes on as well",
    "import os; os.close(1)": r"importing it changed the standard streams of the process \(standard output\)",
    "import sys; sys.stdout.close()": r"importing it changed Python's standard streams \(sys\.stdout\)",
    "import numpy; numpy.exp = numpy.log": r"importing it changed numpy\.exp, which it replaced",
    "import os; [os.write(1, b'flood' * 2**12) for _ in range(500)]; 1 / 0": "ZeroDivisionError",
}

SETTINGS = """
import os, sys, warnings
import numpy as np
os.chdir("/")
np.seterr(all="raise")
warnings.simplefilter("error")
sys.setrecursionlimit(300)
""" + ADAPTER.replace("return", "assert os.getcwd() == '/' and np.geterr()['over'] == 'raise'; return")


LIMITS = Limits(200, 600 * 2**20)


def write(folder, line):
    folder.mkdir(exist_ok=True)
    path = folder / "adapter.py"
    path.write_text(line + ADAPTER)
    return str(path)


def test_a_file_that_ends_its_process_is_unusable_for_a_reason(tmp_path):
    files = [write(tmp_path / str(number), line) for number, line in enumerate([*DEADLY, ""])]
    *dead, fine = scout(files, LIMITS, 2)
    for found, cause in zip(dead, DEADLY.values(), strict=True):
        assert re.search(cause, found.problem), found.problem
        assert found.problem.startswith(f"{found.file} cannot be imported: ")
    assert dead[0].output == "bye"
    assert (fine.problem, [adapter.name for adapter in fine.adapters]) == ("", ["adapter"])


def test_a_file_that_hangs_is_unusable_after_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("afi_verify.limits.LEAST_TO_IMPORT", 2.0)
    (found,) = scout([write(tmp_path, "while True: pass")], Limits(0.1, 2**34), 1)
    cause = (
        r"cannot be imported: it did not end within 2 s \(--timeout, but for an import at least that\), and was stopped"
    )
    assert re.search(cause, found.problem), found.problem


def test_a_file_that_its_process_survives_is_unusable_for_a_reason(tmp_path):
    """One process after the other imports them: each leaves it as it was."""
    with contextlib.closing(Worker(LIMITS)) as worker:
        for number, (line, cause) in enumerate(SURVIVED.items()):
            found = look_into(write(tmp_path / str(number), line), worker)
            assert re.search(cause, found.problem), found.problem
            assert len(found.output) < 5000
        assert look_into(write(tmp_path / "fine", ""), worker).problem == ""


def test_the_others_are_checked_and_settings_hold_for_their_own_functions(tmp_path):
    (tmp_path / "settings.py").write_text(SETTINGS.replace('"adapter"', '"settings"'))
    (tmp_path / "flaky.py").write_text(
        "import os, pathlib\nseen = pathlib.Path(__file__).with_name('seen')\n"
        "if seen.exists(): os._exit(8)\nseen.touch()\n"
        + ADAPTER.replace('"adapter"', '"flaky"').replace("return", "os._exit(9); return")
        + "afi.provides('score', mean)\n"
    )
    files = [write(tmp_path / "crash", "import os; print('bye'); os.abort()"), write(tmp_path / "fine", "")]
    command = [sys.executable, "-m", "afi_verify", "run", "settings.py", "flaky.py", *files, "--json", "-j", "1"]
    command += ["--role", "posterior_mean", "--role", "score", "--scenario", "dirac"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2, done.stderr
    results = json.loads(done.stdout)
    assert [problem["source"] for problem in results["problems"]] == [files[0]]
    assert "SIGABRT" in results["problems"][0]["message"]
    assert results["output"][files[0]] == "bye"
    found = {adapter["name"]: adapter["checks"] for adapter in results["adapters"]}
    assert {name: checks[1]["verdict"] for name, checks in found.items()} == {
        "settings": "pass",
        "flaky": "error",
        "adapter": "pass",
    }
    first, second = sorted((check["message"] for check in found["flaky"]), key=len)
    assert first == "The process that ran it died: exit status 9."
    assert second == "When its file was imported again: The process that ran it died: exit status 8."
    assert "settings.py: importing it changes NumPy's error state" in done.stderr
    assert "the working directory" in done.stderr


def test_replay_ends_too(tmp_path):
    file = write(tmp_path, "import time")
    (tmp_path / "adapter.py").write_text(
        (tmp_path / "adapter.py").read_text().replace("return", "time.sleep(1000); return")
    )
    case = "a_dirac_1x2x2_shared_r1_o0_uniform_rectified-flow@2_s5"
    command = [sys.executable, "-m", "afi_verify", "replay", file, "posterior_mean", case, "--timeout", "2"]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1, done.stderr
    assert "error: It did not end within 2 s (--timeout), and was stopped (adapter.py, line" in done.stdout
    assert time.monotonic() - began < 200
