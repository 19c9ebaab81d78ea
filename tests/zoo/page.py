"""The kill matrix as a page of the report."""

from collections.abc import Sequence
from typing import Any

from afi_verify.report.study import Cell, Section, Study, Table
from tests.zoo.everyday import METHODS

Animal = dict[str, Any]
WORST_FIRST = ("fail", "error", "inaccurate", "undecided", "vacuous", "pass")


def make_study(document: dict[str, Any]) -> Study:
    """Arrange the document of ``python -m tests.zoo`` as a page."""
    summary, animals = document["summary"], document["animals"]
    mutants = [a for a in animals if a["kind"] == "mutant"]
    innocents = [a for a in animals if a["kind"] == "innocent"]
    losers = [a for a in animals if a["kind"] == "inaccurate"]
    roles = list(dict.fromkeys(a["role"] for a in mutants))
    return Study(
        name="kill matrix",
        answer=_answer(summary),
        tone="pass" if summary["ok"] else "fail",
        lead=(
            "Wrong implementations, each named after its sin, and right ones that look unusual, all held against every "
            "check of their role, in every precision. A check of a mutant ends at the first case that shows that it is "
            "wrong. Beside it: what people use today, on the same implementations."
        ),
        sections=(
            _sums(summary),
            _everyday(summary),
            *(_role(role, [a for a in mutants if a["role"] == role]) for role in roles),
            _checks(summary),
            Section(
                "Right implementations",
                ("None may be accused; “vacuous” means too few digits to tell right from wrong.",),
                tables=(_right(f"{len(innocents)} right implementations that look unusual", innocents),),
            ),
            Section(
                "Right formulas that lose digits",
                ("These must be called inaccurate: neither wrong nor a pass.",),
                tables=(_right(f"{len(losers)} right formulas that lose digits", losers),),
            ),
        ),
        command=document["command"],
        environment=document["environment"],
    )


def _answer(summary: dict[str, Any]) -> str:
    survivors, accused = summary["survivors"], summary["accused"]
    names = {entry.split(" (")[0] for entry in survivors}
    caught = summary["mutants"] - len(names)
    right = len({entry.split(" (")[0] for entry in accused})
    first = "all" if not names else f"{caught} of"
    return f"{first} {summary['mutants']} mutants caught, {right} of {summary['innocents']} right ones accused"


def _sums(summary: dict[str, Any]) -> Section:
    caught = ", ".join(f"{count} as {verdict}" for verdict, count in summary["caught_as"].items())
    rows = [
        ("mutants, by precision", f"{summary['mutants_by_dtype']}, of which caught {caught}"),
        ("surviving", "; ".join(summary["survivors"]) or "none"),
        ("right ones, by precision", str(summary["innocents_by_dtype"])),
        ("accused", "; ".join(summary["accused"]) or "none"),
        ("that lose digits, misjudged", "; ".join(summary["losing_digits_misjudged"]) or "none"),
        (
            "seconds until caught",
            f"median {summary['median_seconds_to_catch']}, most {summary['slowest_seconds_to_catch']} "
            "(by the check that needs the fewest cases)",
        ),
        (
            "simplest counterexample as small as the fault allows",
            f"{summary['simplest_small_enough']} of {summary['with_simplest']}",
        ),
        ("larger ones", "; ".join(summary["not_small_enough"]) or "none"),
        (
            "diagnosis names the fault",
            f"{summary['diagnosis_names_the_fault']} of {summary['diagnosable']} in roles whose checks make one",
        ),
        (
            "diagnosis names its family",
            f"{summary['diagnosis_names_its_family']} of {summary['diagnosable']}; another family: "
            f"{summary['with_diagnosis'] - summary['diagnosis_names_its_family']}; none: "
            f"{summary['diagnosable'] - summary['with_diagnosis']}",
        ),
        ("checks that catch nothing that others do not", "; ".join(summary["superfluous_checks"]) or "none"),
    ]
    return Section("In numbers", tables=(Table("The zoo in numbers", ("", ""), tuple(rows)),))


def _everyday(summary: dict[str, Any]) -> Section:
    rows = []
    for method, sides in summary["everyday"].items():
        cells = [f"{side['suspects']} of {side['applies']}" for side in sides.values()]
        rows.append((method, cells[0], f"{summary['mutants'] - sides['mutants']['suspects']}", cells[1]))
    caught = summary["mutants"] - len({entry.split(" (")[0] for entry in summary["survivors"]})
    accused = len({entry.split(" (")[0] for entry in summary["accused"]})
    rows.append(
        (
            "afi-verify",
            f"{caught} of {summary['mutants']}",
            f"{summary['mutants'] - caught}",
            f"{accused} of {summary['innocents']}",
        )
    )
    columns = ("method", "mutants noticed, of those it applies to", "of all mutants, missed", "right ones suspected")
    paragraphs = (
        "On Gaussian data with moderate noise, three noise levels, sizes that differ from one another; an exception or "
        "a wrong shape counts as noticed. A mutant counts as noticed if it is in one precision.",
        "allclose and assert_close, with their default tolerances, compare with the closed formula in float64. Finite "
        "differences are of the log density, of its score or of eps_fn. gradcheck, in float64 only, is told that the "
        "implementation is the derivative of the log density (score; posterior mean by Tweedie), of the score (Fisher "
        "matrix and product) or of eps_fn (VJP, JVP in forward mode); a trace, eq. 17 and eq. 20 are no derivatives.",
    )
    return Section(
        "Beside what people use today", paragraphs, tables=(Table("Everyday methods", columns, tuple(rows)),)
    )


def _role(role: str, mutants: Sequence[Animal]) -> Section:
    dtypes = sorted({o["dtype"] for a in mutants for o in a["outcomes"]}, reverse=True)
    columns = (
        "mutant",
        "what is wrong",
        *dtypes,
        "seconds",
        "cases",
        "simplest N, d",
        "caught by",
        "diagnosis",
        *METHODS,
    )
    rows = []
    for animal in mutants:
        first = min((o for o in animal["outcomes"] if o["cases"]), key=lambda o: o["cases"], default=None)
        smallest = min(
            (o for o in animal["outcomes"] if o["atoms"]), key=lambda o: o["atoms"] * o["dimension"], default=None
        )
        rows.append(
            (
                animal["name"].partition("/")[2],
                animal["what"],
                *(_verdict(animal, dtype) for dtype in dtypes),
                f"{first['seconds']:.2g}" if first else "",
                str(first["cases"]) if first else "",
                f"{smallest['atoms']}, {smallest['dimension']}" if smallest else "",
                ", ".join(dict.fromkeys(o["check"].rpartition("/")[2] for o in animal["outcomes"] if o["cases"])),
                next((o["diagnosis"] for o in animal["outcomes"] if o["diagnosis"]), ""),
                *(_noticed(animal, method, dtypes) for method in METHODS),
            )
        )
    return Section(f"Mutants: {role}", tables=(Table(f"{len(rows)} mutants of {role}", columns, tuple(rows)),))


def _checks(summary: dict[str, Any]) -> Section:
    rows = []
    for name, check in summary["checks"].items():
        some = "; ".join(check["alone"][:4])
        rows.append((name, str(check["catches"]), str(len(check["alone"])), some))
    columns = ("check", "catches", "alone", "for example")
    return Section(
        "What each check catches",
        ("Mutants by precision; “alone” are those that no other check catches.",),
        tables=(Table("Checks", columns, tuple(rows)),),
    )


def _right(caption: str, animals: Sequence[Animal]) -> Table:
    dtypes = ("float64", "float32", "float16", "bfloat16")
    rows = [
        (
            a["name"],
            a["what"],
            a["role"],
            *(_verdict(a, dtype) for dtype in dtypes),
            *(_noticed(a, method, dtypes) for method in METHODS),
        )
        for a in animals
    ]
    return Table(caption, ("name", "what is unusual", "role", *dtypes, *METHODS), tuple(rows))


def _verdict(animal: Animal, dtype: str) -> Cell:
    found = {o["verdict"] for o in animal["outcomes"] if o["dtype"] == dtype}
    verdict = next((v for v in WORST_FIRST if v in found), "")
    # A mutant that passes is what is bad here, and a right one that does is what is good.
    return Cell(verdict or "–", verdict if animal["kind"] != "mutant" or verdict == "pass" else "")


def _noticed(animal: Animal, method: str, dtypes: Sequence[str]) -> str:
    answers = [animal["everyday"][d][method] for d in dtypes if d in animal["everyday"]]
    known = [answer for answer in answers if answer is not None]
    return "–" if not known else "yes" if any(known) else "no"
