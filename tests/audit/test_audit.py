"""The catalogue is complete, its verdicts come out, and a planted error changes them."""

import dataclasses

import pytest

from afi_properties.audit import CATALOGUE, Verdict, judge
from afi_verify.audit.mathematics import typeset
from afi_verify.audit.run import select
from afi_verify.errors import UnusableError

BY_LABEL = {entry.label: entry for entry in CATALOGUE}
FEW = 60


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
    entry = BY_LABEL[label]
    assert judge(entry, FEW).as_expected
    wrong = dataclasses.replace(entry, corrected=entry.printed)
    assert judge(wrong, FEW).verdict == Verdict.UNSUPPORTED
    right = dataclasses.replace(entry, printed=entry.corrected)
    assert judge(right, FEW).verdict == Verdict.HOLDS


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
