"""The pytest plugin: each verdict becomes an outcome of pytest, failures say what counts, and nothing is lost."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

TESTS = """
import afi_verify
from afi_verify import Adapter


def right(x, alpha, sigma, eps):
    return (x - sigma * eps) / alpha


def wrong(x, alpha, sigma, eps):
    return x - sigma * eps


def loses_digits(x, alpha, sigma, eps):
    return (x + 1e4 - sigma * eps - 1e4) / alpha


def raises(x, alpha, sigma, eps):
    raise ValueError("no [bold]data[/bold]")


adapters = {}
for name, function in {"right": right, "wrong": wrong, "rough": loses_digits, "broken": raises}.items():
    adapters[name] = Adapter(name)
    adapters[name].provides("posterior_mean", function)
forgiven, mended = Adapter("forgiven"), Adapter("mended")
forgiven.provides("posterior_mean", wrong)
mended.provides("posterior_mean", right)
for adapter in (forgiven, mended):
    adapter.known_failure("posterior_mean", reason="issue 7", ceiling=1e300, until="9999-12-31")
everybody = [*adapters.values(), forgiven, mended]
@afi_verify.parametrize_with_checks(*everybody, roles=["posterior_mean"], scenarios=["dirac", "digits"])
def test_afi(check):
    check()


@afi_verify.parametrize_with_checks(Adapter("empty"), roles=["score"], scenarios=["dirac"])
def test_nothing(check):
    check()
"""

EXPECTED = {
    "right": ("pass", "passed"),
    "wrong": ("fail", "failure"),
    "rough": ("inaccurate", "skipped"),  # JUnit XML knows no xfail
    "broken": ("error", "failure"),
    "forgiven": ("fail", "skipped"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mine")
    (folder / "test_mine.py").write_text(TESTS)
    return folder


def run_pytest(folder, *options):
    installed = {point.name for point in importlib.metadata.entry_points(group="pytest11")}
    plugin = [] if "afi-verify" in installed else ["-p", "afi_verify.pytest_plugin"]
    command = [sys.executable, "-m", "pytest", *plugin, "-p", "no:cacheprovider", "--strict-markers", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout + done.stderr


def outcomes(junit):
    found = {}
    for case in ElementTree.parse(junit).findall(".//testcase"):
        said = {item.get("name"): item.get("value") for item in case.findall("properties/property")}
        kinds = [kind for kind in ("failure", "error", "skipped") if case.find(kind) is not None]
        found[case.get("name")] = (said, kinds[0] if kinds else "passed")
    return found


@pytest.fixture(scope="module")
def first(folder):
    status, output = run_pytest(folder, "--afi-report", "out", "--junitxml", "junit.xml", "-rA")
    return status, output, outcomes(folder / "junit.xml"), json.loads((folder / "out" / "results.json").read_text())


@pytest.mark.parametrize("name", EXPECTED)
def test_each_verdict_is_an_outcome(first, name):
    _, _, found, _ = first
    verdict, outcome = EXPECTED[name]
    said, was = found[f"test_afi[{name}/posterior_mean/prop-2/float64/dirac]"]
    assert (said["afi-verdict"], was) == (verdict, outcome)
    assert said["afi-check"] == f"{name}/float64/posterior_mean/prop-2/dirac"
    if verdict == "fail":
        assert float(said["afi-worst-error"]) > float(said["afi-limit"])
        assert said["afi-case"].startswith("a_dirac_")


def test_the_last_check_of_a_known_failure_that_is_gone_fails(first):
    _, output, found, _ = first
    assert found["test_afi[mended/posterior_mean/prop-2/float64/digits]"][1] == "failure"
    assert "It passes, although a known failure is declared" in output


def test_a_failure_shows_the_counterexample_and_its_replay_and_no_traceback(first):
    status, output, _, _ = first
    assert status == 1
    title = re.escape("test_afi[wrong/posterior_mean/prop-2/float64/dirac]")
    text = re.search(f"_+ {title} _+\n(.*?)\n_", output, re.DOTALL)[1].splitlines()
    assert text[0] == "fail: wrong/float64/posterior_mean/prop-2/dirac"
    assert text[1].startswith("what must hold: ")
    assert text[3].startswith("simplest case: ")
    assert re.fullmatch(
        r"again: afi-verify replay test_mine\.py wrong/float64/posterior_mean/prop-2/dirac \S+", text[-1]
    )
    assert len(text) == 6
    assert "ValueError: no [bold]data[/bold]" in output
    assert re.search(
        r"SKIPPED \[1\] test_mine.py:\d+: not provided: The adapter provides no score for dirac data", output
    )


def test_the_report_has_every_check_in_order(first):
    _, output, _, results = first
    assert [adapter["name"] for adapter in results["adapters"]] == [*EXPECTED, "mended", "empty"]
    assert results["sum"]["planned"] == 13
    assert results["sum"]["not provided"] == 1
    assert "planned 13 = " in output
    assert "report: out/index.html" in output


def test_the_replay_of_a_failure_finds_the_adapter_in_the_test_file(folder, first):
    _, output, _, _ = first
    words = re.search(r"again: afi-verify (replay test_mine\.py wrong/float64\S+ \S+)", output)[1].split()
    done = subprocess.run(
        [sys.executable, "-m", "afi_verify", *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("wrong: wrong float64, posterior_mean")
    script = next((folder / "out" / "replay").glob("wrong-float64-posterior_mean-prop-2-dirac-simplest.py"))
    done = subprocess.run([sys.executable, str(script)], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")


def test_under_xdist_and_strict(folder, first):
    *_, alone = first
    options = ["-n", "2", "--afi-strict", "--afi-report", "out-n2", "--junitxml", "n2.xml"]
    status, output = run_pytest(folder, *options)
    assert status == 1, output
    found = outcomes(folder / "n2.xml")
    assert found["test_afi[rough/posterior_mean/prop-2/float64/dirac]"][1] == "failure"
    together = json.loads((folder / "out-n2" / "results.json").read_text())
    for results in (alone, together):
        results["adapters"] = [
            a for a in results["adapters"] if a["name"] != "mended"
        ]  # needs both checks in one process
    assert together["adapters"] == alone["adapters"]


CRASHES = """
import os
import afi_verify

adapters = [afi_verify.Adapter(name) for name in ("deadly", "right")]


@adapters[0].provides("posterior_mean")
def dies(x, alpha, sigma, eps):
    print("last words", flush=True)
    os._exit(3)


@adapters[1].provides("posterior_mean")
def lives(x, alpha, sigma, eps):
    return (x - sigma * eps) / alpha


@afi_verify.parametrize_with_checks(*adapters, roles=["posterior_mean"], scenarios=["dirac"])
def test_afi(check):
    check()
"""


def test_isolated_checks_survive_a_crash(tmp_path):
    (tmp_path / "test_mine.py").write_text(CRASHES)
    status, output = run_pytest(tmp_path, "--afi-isolation", "-W", "error")
    assert status == 1
    assert "The process that ran it died: exit status 3." in output
    assert "it printed:\nlast words" in output
    assert "1 failed, 1 passed" in output


HANGS = """
import time
import afi_verify

adapters = [afi_verify.Adapter(name) for name in ("hangs", "right", "stubborn")]


def hangs(x, alpha, sigma, eps):
    while True:
        time.sleep(0.1)


def stubborn(x, alpha, sigma, eps):
    while True:
        try:
            hangs(x, alpha, sigma, eps)
        except BaseException:
            pass


adapters[0].provides("posterior_mean", hangs)
adapters[1].provides("posterior_mean", lambda x, alpha, sigma, eps: (x - sigma * eps) / alpha)
adapters[2].provides("posterior_mean", stubborn)


@afi_verify.parametrize_with_checks(*adapters, "adapter.py", roles=["posterior_mean"], scenarios=["dirac"])
def test_afi(check):
    check()
"""

IN_A_FILE = """
import os
import afi_verify
afi = afi_verify.Adapter("in a file")


@afi.provides("posterior_mean")
def mean(x, alpha, sigma, eps):
    os._exit(7)


os.environ["AFI_TEST"] = "this is not the process of pytest"
"""


@pytest.mark.skipif(os.name != "posix", reason="alarms are those of POSIX")
def test_checks_that_hang_are_stopped_and_files_of_adapters_are_not_imported(tmp_path):
    (tmp_path / "adapter.py").write_text(IN_A_FILE)
    (tmp_path / "test_mine.py").write_text(HANGS + "    import os\n    assert 'AFI_TEST' not in os.environ\n")
    status, output = run_pytest(tmp_path, "--afi-timeout", "4", "-k", "not stubborn", "--afi-report", "out")
    assert status == 1
    assert re.search(r"did not end within 4 s \(--afi-timeout\), and was stopped \(test_mine\.py, line \d+\)", output)
    assert "in a file/float64/posterior_mean/prop-2/dirac\n" in output
    assert "The process that ran it died: exit status 7." in output
    assert "2 failed, 1 passed, 1 deselected" in output


@pytest.mark.skipif(os.name != "posix", reason="alarms are those of POSIX")
def test_a_check_that_does_not_heed_the_alarm_ends_the_process_and_says_where(tmp_path):
    (tmp_path / "adapter.py").write_text(IN_A_FILE)
    (tmp_path / "test_mine.py").write_text("import afi_verify.time_limit as t\nt.GRACE = 1.0\n" + HANGS)
    status, output = run_pytest(tmp_path, "--afi-timeout", "1", "-k", "stubborn")
    assert status == 1
    assert "Timeout" in output
    assert "in stubborn" in output


def test_a_file_that_cannot_be_imported_is_an_error_of_the_collection(tmp_path):
    (tmp_path / "adapter.py").write_text("print('before')\nraise SystemExit(3)\n")
    (tmp_path / "test_mine.py").write_text(HANGS)
    status, output = run_pytest(tmp_path)
    assert status == 2
    assert "adapter.py cannot be imported: SystemExit: 3 (line 2)" in output
    assert "it printed:\nbefore" in output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def test_afi():\n    pass\n", r"is for a function of 'check': def test_afi\(check\): check\(\)"),
        ("def test_afi(check):\n    check()\n", "profile 'hasty' is not known; choose one of: quick, ci, deep"),
    ],
)
def test_mistakes_are_explained(tmp_path, text, message):
    head = "import afi_verify\n@afi_verify.parametrize_with_checks(afi_verify.Adapter('a'))\n"
    (tmp_path / "test_mine.py").write_text(head + text)
    status, output = run_pytest(tmp_path, "--afi-profile", "hasty")
    assert status == 2
    assert re.search(message, output)
    assert "Traceback" not in output


def test_pytest_alone_loads_nothing_heavy():
    code = "import sys, afi_verify.pytest_plugin; print({'numpy', 'hypothesis', 'scipy', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
