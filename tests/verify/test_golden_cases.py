"""Golden cases: what is exported is proven, and what comes back is judged; also from JavaScript."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from afi_reference import DiracMixture, GaussianMixture
from afi_reference.certified import CertifiedDiracMixture, CertifiedGaussianMixture
from afi_verify.cases.export import Request, make_table
from afi_verify.cases.judging import judge
from afi_verify.cases.quantities import QUANTITIES
from afi_verify.cases.table import ANSWERS_SCHEMA, read_table, write_table
from afi_verify.cli import app

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "tests" / "golden" / "golden-cases.safetensors"
DOCS = ROOT / "docs" / "golden-cases.md"


@pytest.fixture(scope="module")
def table():
    return read_table(SHIPPED)


def law_of(inputs, dtype):
    cast = {name: value.astype(dtype) for name, value in inputs.items()}
    weights = cast["weights"] / cast["weights"].sum()
    if "data" in cast:
        return DiracMixture(cast["data"], weights)
    return GaussianMixture(cast["means"], cast["covariances"], weights)


def inputs_of(table, case):
    prefix = f"{case['name']}/input/"
    return {name.removeprefix(prefix): value for name, value in table.tensors.items() if name.startswith(prefix)}


def answers_of(table, role, dtype):
    """Answers by the exact oracle: another route than that of the certified answers."""
    found = {}
    for case in table.catalogue["cases"]:
        if f"{case['name']}/answer/{role}" in table.tensors:
            inputs = {name: value.astype(dtype) for name, value in inputs_of(table, case).items()}
            arguments = [inputs[name] for name in ("x", "v") if name == "x" or role == "fisher_vector_product"]
            answer = getattr(law_of(inputs, dtype), role)(*arguments, inputs["alpha"], inputs["sigma"])
            found[f"{case['name']}/answer/{role}"] = answer.astype("float64" if dtype != "float32" else dtype)
    return found


def judged(table, answers, float64=()):
    (result,) = judge(table, answers, dict(float64), source="mine.safetensors")
    return {(check.role, check.scenario): check for check in result.checks}


def verdicts(table, answers, float64=()):
    return {key: c.verdict.value for key, c in judged(table, answers, float64).items() if c.verdict != "not provided"}


def changed(answers, change):
    return {name: change(value) for name, value in answers.items()}


ROLES = [role for role in dict.fromkeys(claim.role for claim in QUANTITIES) if hasattr(DiracMixture, role)]


@pytest.mark.parametrize("role", ROLES)
def test_the_exact_oracle_agrees_with_the_certified_answers(table, role):
    found = judged(table, answers_of(table, role, np.longdouble))
    checks = [found[role, family] for family in ("dirac", "gaussian-mixture")]
    assert [check.verdict for check in checks] == ["pass", "pass"]
    assert max(check.worst_error for check in checks) < 1.01  # the rounding of the truth to float64
    assert all(check.evidence > 10 for check in checks)


@pytest.mark.parametrize("role", ROLES)
def test_a_thousandth_is_seen(table, role):
    wrong = changed(answers_of(table, role, np.float64), lambda value: value * 1.001)
    assert set(verdicts(table, wrong).values()) == {"fail"}


def formulas(table):
    """Eq. 17 corrected and eq. 20 as anyone would write them; eq. 17 also as printed."""
    trace, printed, product = {}, {}, {}
    for case in table.catalogue["cases"]:
        if case["family"] != "dirac":
            continue
        i, name = {k: v.astype(np.longdouble) for k, v in inputs_of(table, case).items()}, case["name"]
        alpha, sigma, d = i["alpha"], i["sigma"], case["dimension"]
        y = (i["x"] - sigma[:, None] * i["eps"]) / alpha[:, None]
        square = (y * y).sum(axis=1)
        role = f"{name}/answer/fisher_trace_matching"
        trace[role] = (d / sigma**2 - alpha**2 / sigma**4 * (d * i["head"] - square)).astype(np.float64)
        printed[role] = (d / sigma**2 - alpha**2 / sigma**4 * d * (i["head"] - square)).astype(np.float64)
        ends = (i["x0"] * i["v"]).sum(axis=1)[:, None] * i["x0"] - (y * i["v"]).sum(axis=1)[:, None] * y
        value = i["v"] / sigma[:, None] ** 2 - (alpha**2 / sigma**4)[:, None] * ends
        product[f"{name}/answer/fisher_vector_product_endpoint"] = value.astype(np.float64)
    return trace, printed, product


def test_formulas_of_the_paper(table):
    trace, printed, product = formulas(table)
    assert verdicts(table, trace | product) == {
        ("fisher_trace_matching", "dirac"): "pass",
        ("fisher_vector_product_endpoint", "dirac"): "pass",
    }
    assert verdicts(table, printed) == {("fisher_trace_matching", "dirac"): "fail"}


def test_float32_answers_and_what_float64_ones_tell(table):
    right = answers_of(table, "fisher_trace", np.float64)
    rounded = changed(right, lambda value: value.astype(np.float32))
    assert set(verdicts(table, rounded).values()) == {"pass"}
    coarse = changed(rounded, lambda value: value * np.float32(1 + 2.0**-18))
    assert set(verdicts(table, coarse).values()) == {"fail"}
    assert set(verdicts(table, coarse, right).values()) == {"inaccurate"}
    assert set(verdicts(table, coarse, changed(right, lambda value: value * 1.001)).values()) == {"fail"}
    assert set(verdicts(table, changed(rounded, lambda value: value.astype(np.float64))).values()) == {"inaccurate"}


def test_what_is_no_answer(table):
    right = answers_of(table, "score", np.float64)
    first = min(right)
    family = first.split("-float")[0]
    for change, verdict, words in (
        (lambda answers: answers.pop(first), "error", "missing"),
        (lambda answers: answers.update({first: answers[first][:0]}), "error", "shape"),
        (lambda answers: answers.update({first: answers[first] * np.nan}), "fail", "NaN"),
    ):
        answers = dict(right)
        change(answers)
        check = judged(table, answers)["score", family]
        assert check.verdict == verdict
        assert words in check.message
    half = judged(table, changed(right, lambda value: np.zeros(value.shape, np.float16)))["score", family]
    assert half.verdict == "error"
    assert "float16" in half.message


def test_answers_of_two_dtypes_are_judged_each_in_its_own(table):
    right = answers_of(table, "score", np.float64)
    mixed = {name: value.astype(np.float32) if "-float32-" in name else value for name, value in right.items()}
    results = judge(table, mixed, {}, source="mine")
    assert [result.dtype for result in results] == ["float32", "float64"]
    assert {c.verdict.value for r in results for c in r.checks} == {"pass", "not provided"}
    assert all(c.cases == 9 for r in results for c in r.checks if c.verdict == "pass")


def test_a_limit_gives_undecided_and_no_guess():
    hard = make_table(Request(largest_dimension=2, max_precision=64))
    cases = hard.catalogue["cases"]
    assert any(case["undecided"] for case in cases)
    for case in cases:
        for role, reason in case["undecided"].items():
            assert "max_precision" in reason
            assert f"{case['name']}/answer/{role}" not in hard.tensors
    answers = {name: value for name, value in hard.tensors.items() if "/answer/" in name}
    open_roles = {(role, case["family"]) for case in cases for role in case["undecided"]}
    found = verdicts(hard, answers)
    assert {found[key] for key in open_roles & set(found)} == {"undecided"}


def test_float32_inputs_are_exact_and_others_are_not(table):
    for case in table.catalogue["cases"]:
        values = inputs_of(table, case).values()
        assert {str(value.dtype) for value in values} == {case["inputs"]}
        if case["inputs"] == "float64":
            assert any((value != value.astype(np.float32)).any() for value in values)


def test_every_wrong_formula_is_told_from_the_truth(table):
    for family, roles in table.catalogue["quantities"].items():
        for role, about in roles.items():
            margins = [
                table.tensors[f"{case['name']}/margin/{role}"]
                for case in table.catalogue["cases"]
                if case["family"] == family
            ]
            best = np.stack([np.nanmax(m, axis=2, initial=0) for m in margins]).max(axis=0)
            assert (best > 1).all(), (family, role, about["wrong"])


def invoke(*arguments):
    return CliRunner().invoke(app, ["cases", *map(str, arguments)])


def save(path, answers, schema=ANSWERS_SCHEMA, cases=None):
    cases = cases or read_table(SHIPPED).catalogue["id"]
    save_file({k: np.ascontiguousarray(v) for k, v in answers.items()}, path, {"schema": schema, "cases": cases})
    return path


def test_export_is_the_same_byte_for_byte_and_depends_on_the_seed(tmp_path):
    command = [sys.executable, "-m", "afi_verify", "cases", "export", str(tmp_path), "--largest-dimension", "1"]
    subprocess.run(command, check=True, capture_output=True)
    path = tmp_path / "golden-cases.safetensors"
    again = make_table(Request(largest_dimension=1))
    assert write_table(again, tmp_path / "again.safetensors") == path.stat().st_size < 300_000
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    assert make_table(Request(seed=1, largest_dimension=1)).id != again.id


def certified_of(inputs):
    if "data" in inputs:
        return CertifiedDiracMixture(inputs["data"], inputs["weights"])
    return CertifiedGaussianMixture(inputs["means"], inputs["covariances"], inputs["weights"])


def test_the_shipped_file_is_small_and_its_answers_are_certified_anew(table):
    """Its cases were drawn once and stay; the generators may go on to others."""
    assert SHIPPED.stat().st_size < 300_000
    for case in table.catalogue["cases"]:
        inputs = {name: value.astype(np.float64) for name, value in inputs_of(table, case).items()}
        for role in ("score", "fisher_trace", "log_density"):
            again = getattr(certified_of(inputs), role)(inputs["x"], inputs["alpha"], inputs["sigma"])
            np.testing.assert_array_equal(table.tensors[f"{case['name']}/answer/{role}"], again.value)


def test_command_line(table, tmp_path):
    right = answers_of(table, "score", np.float64)
    path = save(tmp_path / "mine.safetensors", right)
    shutil.copy(SHIPPED, tmp_path)
    result = invoke("check", path)
    assert result.exit_code == 0, result.output
    assert "planned 18 = 2 pass" in result.output
    document = json.loads(invoke("check", path, "--json").stdout)
    assert document["sum"]["pass"] == 2
    assert document["exit_status"] == 0
    wrong = save(tmp_path / "wrong.safetensors", changed(right, np.negative))
    result = invoke("check", wrong, "--cases", SHIPPED, "--report", tmp_path / "out")
    assert result.exit_code == 1
    assert "simplest case: " in result.output
    assert "score returned" in (tmp_path / "out" / "index.html").read_text()
    strict = invoke("check", save(tmp_path / "b.safetensors", changed(right, np.float32)), "--strict")
    assert strict.exit_code == 0


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path, right: path.unlink(), "cannot be read"),
        (lambda path, right: path.write_bytes(path.read_bytes()[:-9]), "not a whole safetensors file"),
        (lambda path, right: path.write_bytes(b"no"), "not a whole safetensors file"),
        (lambda path, right: save(path, right, schema="afi-verify/answers/2"), "afi-verify/answers/2"),
        (lambda path, right: save(path, right, cases="0" * 64), "answers other cases"),
        (lambda path, right: save(path, {**right, "x/answer/y": np.zeros(1)}), "no case asks for"),
        (lambda path, right: save(path, {}), "nothing was verified"),
        (lambda path, right: save_file({"a": np.zeros(1)}, path), "schema None"),
    ],
)
def test_unusable_answers(table, tmp_path, spoil, words):
    right = answers_of(table, "log_density", np.float64)
    path = save(tmp_path / "mine.safetensors", right)
    spoil(path, right)
    result = invoke("check", path, "--cases", SHIPPED)
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())


def test_changed_cases_are_unusable(tmp_path):
    tensors = load_file(SHIPPED)
    with safe_open(SHIPPED, framework="numpy") as file:
        metadata = file.metadata()
    path = tmp_path / "cases.safetensors"
    answers = save(tmp_path / "mine.safetensors", {})
    first = min(name for name in tensors if "/answer/" in name)
    save_file({**tensors, first: tensors[first] * 2}, path, metadata)
    assert "checksum" in " ".join(invoke("check", answers, "--cases", path).output.split())
    other = {"afi-verify": metadata["afi-verify"].replace("afi-verify/cases/1", "afi-verify/cases/9")}
    save_file(tensors, path, other)
    assert "afi-verify/cases/9" in " ".join(invoke("check", answers, "--cases", path).output.split())
    save_file(tensors, path)
    result = invoke("check", answers, "--cases", path)
    assert "holds no golden cases" in " ".join(result.output.split())
    assert result.exit_code == 2
    assert invoke("export", tmp_path / "cases.parquet").exit_code == 2


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node, to run the documentation's example")
def test_the_example_of_the_documentation(tmp_path):
    (program,) = re.findall(r"<!-- answer\.mjs -->\n```js\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "answer.mjs").write_text(program, encoding="utf-8")
    answers = tmp_path / "answers.safetensors"
    subprocess.run(["node", tmp_path / "answer.mjs", SHIPPED, answers], check=True, capture_output=True, text=True)
    result = invoke("check", answers, "--cases", SHIPPED, "--json")
    assert result.exit_code == 0, result.output
    found = {
        (c["role"], c["scenario"]): c["verdict"] for a in json.loads(result.stdout)["adapters"] for c in a["checks"]
    }
    assert found["score", "dirac"] == found["fisher_trace", "dirac"] == "pass"
    assert sum(verdict == "pass" for verdict in found.values()) == 2
    wrong = program.replace("(alpha / sigma ** 2) ** 2 * spread", "alpha ** 2 / sigma ** 3 * spread")
    assert wrong != program
    (tmp_path / "answer.mjs").write_text(wrong, encoding="utf-8")
    subprocess.run(["node", tmp_path / "answer.mjs", SHIPPED, answers], check=True, capture_output=True, text=True)
    assert invoke("check", answers, "--cases", SHIPPED).exit_code == 1


def test_documentation_names_every_quantity(table):
    text = DOCS.read_text(encoding="utf-8")
    roles = {role for roles in table.catalogue["quantities"].values() for role in roles}
    assert roles == set(re.findall(r"^\| `(\w+)` \| `\(B", text, re.MULTILINE))
    assert all(f"`{field}`" in text for field in [*table.catalogue, *table.catalogue["cases"][0]])
