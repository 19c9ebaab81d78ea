"""The study of Theorem 1: the committed page's numbers, its statements, and small parts run again."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest

from afi_verify.experiments.transport import published
from afi_verify.experiments.transport.certificate import certify_triangle
from afi_verify.experiments.transport.configurations import TRIANGLE
from afi_verify.experiments.transport.page import transport_study
from afi_verify.experiments.transport.run import broken_statements
from afi_verify.report.study import render_study

COMMITTED = Path(__file__).parents[2] / "reports" / "transport" / "results.json"


@pytest.fixture(scope="module")
def document():
    return json.loads(COMMITTED.read_text(encoding="utf-8"))


def test_the_committed_numbers_support_every_statement(document):
    assert broken_statements(document) == []
    study = transport_study(document)
    assert study.tone == "pass"
    assert "Certificate" in render_study(study)


@pytest.mark.parametrize(
    ("change", "statement"),
    [
        (lambda d: d["routes"][0]["differences"].update(autograd=1e-7), "three routes"),
        (lambda d: d["schedules"][1].update(jacobian=1e-7), "schedules"),
        (lambda d: d["structure"][2].update(symmetric=3), "collinear"),
        (lambda d: d["structure"][5].update(symmetric=d["structure"][5]["points"]), "general position"),
        (lambda d: d["structure"][0].update(least_determinant=-1.0), "determinants"),
        (lambda d: d["samples"][1]["ring"].update(moved=2), "exact solver never"),
        (lambda d: d["gaussians"][0].update(map=1e-3), "Gaussians"),
        (lambda d: d["certificate"].update(proven=False), "proven"),
        (lambda d: d["published"][0]["converged"].update(index=0.1), "discretisation"),
        (lambda d: d["published"][1]["euler"][-1].update(distance=1e-2), "order 1"),
        (lambda d: d["published"][2]["turned"].update(asymmetry=0.1), "turning the plane"),
        (lambda d: d["published"][3]["collinear_turned"].update(index=0.1), "collinear atoms"),
    ],
)
def test_numbers_that_do_not_support_a_statement_are_seen(document, change, statement):
    changed = copy.deepcopy(document)
    change(changed)
    assert any(statement in broken for broken in broken_statements(changed))
    assert transport_study(changed).tone == "fail"


def test_the_certificate_is_proven_again(document):
    again = certify_triangle()
    assert again["proven"]
    assert again["asymmetry"] == document["certificate"]["asymmetry"]


def test_euler_converges_with_order_one_to_the_transposed_jacobian():
    schedule, first, last = published.processes()["EDM"]
    x = np.random.default_rng(0).standard_normal((3, 2))
    truth = published.converged(x, TRIANGLE, schedule, first, 0.1)
    errors = []
    for steps in (101, 201):
        answer = published.by_euler(x, TRIANGLE, schedule, first, 0.1, steps, printed=False)
        errors.append(np.abs(answer - truth).max())
    assert 1.8 < errors[0] / errors[1] < 2.2
    assert last < 0.1


def test_the_exact_solver_tells_a_triangle_from_a_line():
    pytest.importorskip("ot", reason="POT is the extra `ot`")
    from afi_verify.experiments.transport import samples
    from afi_verify.experiments.transport.configurations import configurations

    rows = {
        c.name: samples._compare(c, 30, 90)
        for c in configurations()
        if c.name in ("collinear, 4 atoms in the plane", "parallelogram")
    }
    assert rows["collinear, 4 atoms in the plane"]["ring"]["moved"] == 0
    assert rows["parallelogram"]["ring"]["gain"] > 1e-3
