"""What is unusable or broken is named in one paragraph that says what to do, and stops nothing else."""

import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import afi_verify
from afi_reference.dirac import DiracMixture
from afi_verify.cli import app
from afi_verify.results import CheckResult, Verdict

GOOD = """
from afi_verify import Adapter

afi = Adapter("good")


@afi.provides("posterior_mean")
def posterior_mean(x, alpha, sigma, eps):
    return (x - sigma * eps) / alpha
"""


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.py"
    path.write_text(GOOD)
    return str(path)


def run(*arguments: str):
    return CliRunner().invoke(app, ["run", "--role", "posterior_mean", "--scenario", "dirac", *arguments])


def is_one_paragraph(message: str) -> bool:
    return "\n" not in message.strip() and "Traceback" not in message and message.strip()[-1] in ".'"


UNUSABLE_FILES = {
    "no-adapter": ("x = 1\n", ["holds no adapter", "Add one"]),
    "nothing-provided": (
        'from afi_verify import Adapter\nmine = Adapter("a")\n',
        ["'a' provides nothing", "@mine.provides('fisher_trace')"],
    ),
    "syntax-error": ("def f(:\n    pass\n", ["SyntaxError", "line 1", "Run it with python"]),
    "raises": ("import math\n\nmath.sqrt(-1)\n", ["ValueError: math domain error", "line 3"]),
    "missing-module": ("import no_such_module\n", ["ModuleNotFoundError", "no_such_module", "line 1"]),
    "unknown-role": (GOOD.replace('"posterior_mean"', '"posterior_mena"'), ["Did you mean 'posterior_mean'?"]),
    "unknown-parameter": (GOOD.replace("sigma", "sgima"), ["'sgima'", "Did you mean 'sigma'?", "default value"]),
    "unknown-backend": (GOOD.replace('"good"', '"good", backend="tensorflow"'), ["Choose one of: numpy, torch"]),
    "unknown-dtype": (GOOD.replace('"good"', '"good", dtype="float23"'), ["Did you mean 'float32'?"]),
    "numpy-bfloat16": (GOOD.replace('"good"', '"good", dtype="bfloat16"'), ["NumPy has no bfloat16", "choose"]),
    "bad-event-shape": (GOOD.replace('"good"', '"good", event_shape=(0, 8)'), ["tuple of positive whole numbers"]),
}


@pytest.mark.parametrize(("text", "phrases"), UNUSABLE_FILES.values(), ids=UNUSABLE_FILES)
def test_an_unusable_file_is_explained_and_the_good_one_still_verified(tmp_path, good, text, phrases):
    bad = tmp_path / "bad.py"
    bad.write_text(text)
    answer = run(str(bad), good)
    assert answer.exit_code == 2
    message = answer.stderr.removeprefix("unusable: ")
    assert str(bad) in message
    for phrase in phrases:
        assert phrase in message
    assert is_one_paragraph(message), message
    assert "pass        good/float64/posterior_mean" in answer.stdout


@pytest.mark.parametrize(
    ("name", "phrases"),
    [("nowhere.py", ["no such file", "Give the path"]), ("notes.txt", ["not a Python file (.py)"])],
)
def test_a_path_that_is_no_adapter(tmp_path, good, name, phrases):
    (tmp_path / "notes.txt").write_text("not python")
    answer = run(str(tmp_path / name), good)
    assert answer.exit_code == 2
    for phrase in phrases:
        assert phrase in answer.stderr
    assert "pass        good/float64/posterior_mean" in answer.stdout


def answered(function) -> CheckResult:
    adapter = afi_verify.Adapter("bad")
    adapter.provides("posterior_mean", function)
    report = afi_verify.verify(adapter, roles=["posterior_mean"], scenarios=["dirac"])
    assert not report.ok
    assert report.results.exit_status == 1
    (check,) = (c for c in report.results.checks if c.verdict is not Verdict.NOT_PROVIDED)
    assert is_one_paragraph(check.message), check.message
    return check


def raises(x, alpha, sigma, eps):
    raise ZeroDivisionError("no luck today")


def exits(x, alpha, sigma, eps):
    sys.exit("that is all")


def changes_its_input(x, alpha, sigma, eps):
    x -= sigma * eps
    return x / alpha


BROKEN_ANSWERS = {
    "wrong-shape": (lambda x, alpha, sigma, eps: x[0], "expected (1, 1)"),
    "wrong-dtype": (lambda x, alpha, sigma, eps: x.astype("float32"), "It returned float32 for float64 arguments"),
    "none": (lambda x, alpha, sigma, eps: None, "It returned None; expected a numpy array of shape"),
    "a-list": (lambda x, alpha, sigma, eps: x.tolist(), "It returned a list; expected a numpy array of shape"),
    "raises": (raises, "It raised ZeroDivisionError: no luck today (test_bad_input.py, line "),
    "exits": (exits, "It raised SystemExit: that is all (test_bad_input.py, line "),
    "changes-its-input": (changes_its_input, "It changed its argument 'x' in place; let it work on a copy"),
}


@pytest.mark.parametrize(("function", "phrase"), BROKEN_ANSWERS.values(), ids=BROKEN_ANSWERS)
def test_a_broken_answer_is_an_error(function, phrase):
    check = answered(function)
    assert check.verdict is Verdict.ERROR
    assert check.simplest is not None
    assert phrase in f"{check.message} {check.simplest.message}"


def test_a_nan_is_never_right():
    check = answered(lambda x, alpha, sigma, eps: x + np.nan)
    assert check.verdict is Verdict.FAIL
    assert "NaN" in check.message


def test_warnings_of_the_code_under_test_decide_nothing():
    """Pytest turns warnings into errors here; the verdict is about the answer."""

    def warns(x, alpha, sigma, eps):
        return (x - sigma * eps) / alpha + 0 * np.log(0 * x + (np.abs(x) >= 0)) + 0 * (1 / (0 * x) > 0)

    adapter = afi_verify.Adapter("warns")
    adapter.provides("posterior_mean", warns)
    report = afi_verify.verify(adapter, roles=["posterior_mean"], scenarios=["dirac"])
    assert report.ok, [c.message for c in report.results.checks]


def test_a_broken_answer_exits_with_1_and_the_good_one_is_verified(tmp_path, good):
    bad = tmp_path / "bad.py"
    bad.write_text(GOOD.replace('"good"', '"bad"').replace("/ alpha", "/ 0 / nothing"))
    answer = run(str(bad), good)
    assert answer.exit_code == 1
    assert "NameError: name 'nothing' is not defined (bad.py, line 9)" in answer.stdout
    assert "pass        good/float64/posterior_mean" in answer.stdout


DATA = np.random.default_rng(0).standard_normal((4, 2))
UNUSABLE_DATA = {
    "nan": (np.where(DATA > 0, np.nan, DATA), None, "NaN or infinite"),
    "no-atoms": (DATA[:0], None, "data must have shape (N, d)"),
    "weights-do-not-sum-to-1": (DATA, np.full(4, 0.5), "weights must sum to 1; they sum to 2.0. Divide"),
    "negative-weight": (DATA, np.array([-0.5, 0.5, 0.5, 0.5]), "weights must not be negative"),
    "weights-of-another-length": (DATA, np.full(3, 1 / 3), "weights must have shape (4,)"),
    "weights-nan": (DATA, np.array([np.nan, 0.5, 0.5, 0]), "NaN or infinite"),
    "text": (np.array([["a", "b"]]), None, "does not hold an array of real numbers"),
}


@pytest.mark.parametrize(("data", "weights", "phrase"), UNUSABLE_DATA.values(), ids=UNUSABLE_DATA)
def test_unusable_data(tmp_path, good, data, weights, phrase):
    options = ["--data", str(tmp_path / "data.npy")]
    np.save(tmp_path / "data.npy", data)
    if weights is not None:
        np.save(tmp_path / "weights.npy", weights)
        options += ["--weights", str(tmp_path / "weights.npy")]
    answer = CliRunner().invoke(app, ["run", good, *options])
    assert answer.exit_code == 2, answer.output
    assert answer.stdout == ""
    assert phrase in answer.stderr
    assert is_one_paragraph(answer.stderr), answer.stderr


@pytest.mark.parametrize(
    ("options", "phrase"),
    [
        (["--profile", "huge"], "choose one of: quick, ci, deep"),
        (["--scenario", "moon"], "choose from: dirac"),
        (["--role", "fisherman"], "choose from: score"),
        (["--weights", "w.npy"], "w.npy"),
        (["--data", "nowhere.npy"], "nowhere.npy"),
        (["--seed", "-1"], "seed"),
        (["--sed", "1"], "--sed"),
    ],
)
def test_unusable_options(good, options, phrase):
    answer = CliRunner().invoke(app, ["run", good, *options])
    assert answer.exit_code == 2
    assert phrase in answer.stderr
    assert "Traceback" not in answer.output


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        ({"sigma": 0.0}, "sigma must be positive"),
        ({"sigma": -1.0}, "sigma must be positive"),
        ({"sigma": np.nan}, "sigma must be finite"),
        ({"alpha": 0.0}, "alpha must be positive"),
        ({"x": np.full((1, 2), np.nan)}, "x must be finite"),
        ({"x": np.zeros((1, 3))}, "x must have shape (B, 2)"),
        ({"weights": np.full(4, 0.5)}, "weights must sum to 1; they sum to 2.0. Divide them by their sum."),
        ({"atoms": DATA * np.inf}, "atoms must be finite"),
    ],
)
def test_an_oracle_says_what_is_wrong_with_its_arguments(change, phrase):
    given = {"atoms": DATA, "weights": None, "x": np.zeros((1, 2)), "alpha": 0.5, "sigma": 0.5, **change}
    with pytest.raises(ValueError, match="must") as raised:
        DiracMixture(given["atoms"], given["weights"]).fisher_trace(given["x"], given["alpha"], given["sigma"])
    assert phrase in str(raised.value)
    assert is_one_paragraph(str(raised.value))


def in_a_pipe(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=False)


def test_json_is_all_that_standard_output_holds(tmp_path, good):
    options = ["--json", "--role", "posterior_mean", "--scenario", "dirac", "--report", str(tmp_path / "out")]
    answer = in_a_pipe("-m", "afi_verify", "run", str(tmp_path / "nowhere.py"), good, *options)
    assert answer.returncode == 2
    results = json.loads(answer.stdout)
    assert results["exit_status"] == 2
    assert results["sum"]["pass"] == 1
    assert results["sum"]["planned"] == sum(v for k, v in results["sum"].items() if k != "planned")
    assert [problem["source"] for problem in results["problems"]] == [str(tmp_path / "nowhere.py")]


def test_nothing_is_coloured_in_a_pipe(tmp_path, good):
    answer = in_a_pipe(
        "-m", "afi_verify", "run", str(tmp_path / "nowhere.py"), good, "--role", "posterior_mean", "--scenario", "dirac"
    )
    assert "pass" in answer.stdout
    assert "\x1b" not in answer.stdout + answer.stderr


def modules_after(statement: str) -> set[str]:
    answer = in_a_pipe("-c", f"import sys\n{statement}\nprint(*sys.modules)")
    assert answer.returncode == 0, answer.stderr
    return {name.partition(".")[0] for name in answer.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    call = f"from afi_verify.cli import app\ntry:\n    app({arguments!r})\nexcept SystemExit:\n    pass"
    assert modules_after(call).isdisjoint({"torch", "jax", "sklearn"})


def test_the_oracles_import_nothing_heavy():
    loaded = modules_after("import afi_reference, afi_reference.dirac, afi_reference.gaussian")
    assert loaded.isdisjoint({"torch", "jax", "sympy", "hypothesis", "sklearn", "afi_verify", "afi_properties"})
