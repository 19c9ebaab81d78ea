"""Pages to open: runs and studies with known content."""

import dataclasses
import json
import math

from afi_verify.report import render_report
from afi_verify.report.study import Axis, Cell, Gallery, Plot, Section, Series, Study, Table
from afi_verify.results import (
    AdapterResult,
    CheckResult,
    Counterexample,
    FormulaMargin,
    Point,
    Results,
    Verdict,
    to_json,
)


def a_check(index, verdict=Verdict.PASS, role="fisher_trace", scale=1.0, **changes):
    points = tuple(
        Point(-20 + 4.0 * i, scale * (1 + i % 3), 10.0 ** (i % 4 - 1), 2 ** (i % 5), 3 + i % 2) for i in range(11)
    )
    wrong = verdict in (Verdict.FAIL, Verdict.ERROR, Verdict.INACCURATE)
    case = Counterexample(
        "two atoms", 1, 2, 2, 0.5, 2e4, "Returned 2, expected 1.", f"# number {index}\nprint('x')\n", "a_1"
    )
    check = CheckResult(
        id=f"a/float32/{role}/prop-5/s{index}", role=role, claim="prop-5", scenario=f"s{index}", statement="tr F = …",
        printed=None, verdict=verdict, message="It is off." if wrong else "", cases=4, items=11, evidence=9, limit=16.0,
        worst_error=3.0 * scale, median_error=scale, margins=(FormulaMargin("sign", 1e9, 9, 11),),
        points=() if verdict is Verdict.NOT_PROVIDED else points, simplest=case if wrong else None,
        worst=dataclasses.replace(case, batch=2) if wrong else None,
        diagnosis="equals the truth times σ²" if verdict is Verdict.FAIL else "",
        fault="power of sigma" if verdict is Verdict.FAIL else "",
    )  # fmt: skip
    return dataclasses.replace(check, **changes)


def a_run(*names, checks=None):
    if checks is None:
        checks = (
            a_check(1), a_check(2, Verdict.FAIL, scale=1e6), a_check(3, Verdict.NOT_PROVIDED, "score"),
            a_check(4, Verdict.INACCURATE, "score", 40.0), a_check(5, Verdict.PASS, "score"),
            a_check(6, Verdict.FAIL, "adjoint", math.inf),
        )  # fmt: skip
    adapters = tuple(AdapterResult(name, "numpy", "float32", "cpu", "a.py", tuple(checks)) for name in names)
    return Results("0.1.0", "ci", 7, False, adapters, environment={"python": "3"}, seconds={"total": 1.0})


def write(results, path):
    path.write_text(render_report(json.loads(to_json(results))), encoding="utf-8")
    return path


def a_study(text="plain"):
    line = (Series(text, ((1.0, 2.0), (2.0, 20.0, 10.0, 40.0))), Series(f"{text} 2", ((1.0, 3.0), (2.0, math.inf))))
    plot = Plot(text, Axis(text), Axis(text, log=True), line, 16.0, text)
    dot = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
    gallery = Gallery(text, ((text, dot),))
    table = Table(text, (text, text), ((text, Cell(text, "pass")), (Cell(text), Cell(text, "quiet"))))
    return Study(text, text, "pass", text, (Section(text, (text,), (plot, gallery), (table,)),), text, {text: text})
