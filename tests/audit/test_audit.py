"""The catalogue is complete, its verdicts come out, and a planted error changes them."""

import dataclasses

import pytest

from afi_properties.audit import CATALOGUE, Verdict, judge
from afi_verify.audit.mathematics import typeset
from afi_verify.audit.run import select
from afi_verify.errors import UnusableError

BY_LABEL = {entry.label: entry for entry in CATALOGUE}
FEW = 60


def remembering(entry):
    """The entry with a test that runs once for each form of the statement: it draws the same cases again anyway."""
    outcomes = {}

    def test(cases, **form):
        key = cases, repr(form)
        if key not in outcomes:
            outcomes[key] = entry.test(cases, **form)
        return outcomes[key]

    return dataclasses.replace(entry, test=test)


def test_labels_are_unique():
    assert len(BY_LABEL) == len(CATALOGUE)


@pytest.mark.parametrize("entry", CATALOGUE, ids=BY_LABEL)
def test_every_entry_says_what_it_must(entry):
    assert entry.title
    assert entry.expected != Verdict.UNSUPPORTED
    assert (entry.test is None) == (entry.expected == Verdict.NOT_TESTABLE) == bool(entry.reason)
    assert (entry.corrected is None) == (entry.expected not in (Verdict.FALSE, Verdict.CORRECTED))
    assert entry.slip == (entry.expected == Verdict.CORRECTED)
    for statement in filter(None, (entry.printed, entry.corrected)):
        assert "<math" in typeset(statement.latex)


@pytest.mark.parametrize("label", [e.label for e in CATALOGUE if e.expected in (Verdict.FALSE, Verdict.CORRECTED)])
def test_a_wrong_correction_and_a_right_print_change_the_verdict(label):
    entry = remembering(BY_LABEL[label])
    assert judge(entry, FEW).as_expected
    wrong = dataclasses.replace(entry, corrected=entry.printed)
    assert judge(wrong, FEW).verdict == Verdict.UNSUPPORTED
    right = dataclasses.replace(entry, printed=entry.corrected)
    assert judge(right, FEW).verdict == Verdict.HOLDS


@pytest.mark.parametrize("entry", [e for e in CATALOGUE if e.expected == Verdict.MEASURED], ids=lambda e: e.label)
def test_a_measurement_outside_its_range_is_unsupported(entry):
    assert judge(entry, FEW).as_expected
    low, high = entry.printed.form["low"], entry.printed.form["high"]
    elsewhere = dataclasses.replace(entry.printed, form={"low": high + 1, "high": high + 1 + (high - low)})
    assert judge(dataclasses.replace(entry, printed=elsewhere), FEW).verdict == Verdict.UNSUPPORTED


WRONG_FORMS = {
    "eq-2": {"diffusion_factor": 2},
    "eq-3": {"score_factor": 2},
    "eq-5": {"score_factor": 2},
    "eq-7": {"sign": 1},
    "eq-12": {"sigma_power": 3},
    "eq-16": {"square": 0},
    "eq-18": {"sign": 1},
    "eq-20": {"sigma_power": 3},
    "eq-21": {"factor": 0.5},
    "eq-25": {"scale_power": 2},
    "eq-26": {"of": "σ"},
    "eq-52": {"trace_factor": 2},
    "eq-57": {"base": 3},
    "thm-2": {"convex": False},
    "thm-4": {"closed": False},
    "table-1": {"likelihood": 99, "adjoint": 58, "ratio": 4, "tolerance": 0.1},
    "prose-2.3-guarantee": {"derivatives": 0},
    "prose-4-quadratic": {"fewer": 0},
    "prose-5-endpoint": {"tie": True},
    "prose-6-collinear": {"atoms": ((0.5, 0.0), (0.0, -0.5), (0.0, 0.0))},
    "prose-A.9-continuous": {"slope": -1},
    "prose-C.6-vanish": {"vanishes": True},
}


@pytest.mark.parametrize("label", WRONG_FORMS)
def test_a_wrong_form_of_what_holds_is_found_out(label):
    entry = BY_LABEL[label]
    assert judge(entry, FEW).verdict == Verdict.HOLDS
    wrong = dataclasses.replace(entry.printed, form={**entry.printed.form, **WRONG_FORMS[label]})
    assert judge(dataclasses.replace(entry, printed=wrong), FEW).verdict == Verdict.UNSUPPORTED


@pytest.mark.parametrize("latex", [r"\nosuchcommand x", "a < b", "<script>alert(1)</script>", '"onload="x'])
def test_mathematics_is_escaped_or_refused(latex):
    try:
        markup = typeset(latex)
    except ValueError:
        return
    assert "<script" not in markup
    assert 'alttext="' in markup
    assert '"onload' not in markup


def test_unknown_labels_do_not_pass():
    with pytest.raises(UnusableError, match="eq-99"):
        select(["eq-99"])


def test_every_numbered_statement_is_there():
    numbered = {
        *(f"eq-{n}" for n in range(1, 58)),
        *(f"lemma-{n}" for n in range(1, 6)),
        *(f"prop-{n}" for n in range(1, 9)),
        *(f"thm-{n}" for n in range(1, 6)),
        *(f"fig-{n}" for n in range(1, 6)),
        "remark-1",
        "alg-1",
        "table-1",
    }
    assert numbered <= set(BY_LABEL)
