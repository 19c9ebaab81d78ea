"""Known failures: accepted inside their scope, and failures themselves when gone, worse or overdue."""

import datetime
import json
import math

import numpy as np
import pytest

from afi_verify import Adapter, UnusableError, verify
from afi_verify.outcome import weightiest
from afi_verify.report import render_report
from afi_verify.results import Verdict, to_json

TODAY = datetime.date(2026, 5, 17)
DECLARED = {"reason": "see issue 12", "ceiling": 1e17, "until": "2026-12-31"}


def right(x, alpha, sigma, eps):
    return (x - sigma * eps) / alpha


def wrong_where_noise_dominates(x, alpha, sigma, eps):
    return right(x, alpha, sigma, eps) * (1.001 if alpha < sigma else 1)


def wrong(x, alpha, sigma, eps):
    return right(x, alpha, sigma, eps) * 1.001


def loses_digits(x, alpha, sigma, eps):
    return right(*(np.float64(np.float32(value)) for value in (x, alpha, sigma, eps)))


def checked(function, check="posterior_mean", *, dtype="float64", jobs=1, role="posterior_mean", **changes):
    adapter = Adapter("subject", dtype=dtype)
    adapter.provides("posterior_mean", function)
    adapter.known_failure(check, **{**DECLARED, **changes})
    report = verify(adapter, roles=[role], scenarios=["dirac", "digits"], today=TODAY, jobs=jobs)
    return report, [check for check in report.results.checks if check.role == role and check.cases]


@pytest.fixture
def no_simplest(monkeypatch):
    """The verdict is what counts: the counterexample is the worst one, and nobody asks for a diagnosis."""
    monkeypatch.setattr("afi_verify.checks.shrink", lambda demand, look, findings, kind, seed: weightiest(findings))
    monkeypatch.setattr("afi_verify.checks.diagnose", lambda *_: None)


def test_inside_its_scope_a_known_failure_is_shown_and_does_not_count():
    report, checks = checked(wrong_where_noise_dominates, log_snr=(-math.inf, 0))
    assert report.ok
    assert {check.verdict for check in checks} == {Verdict.FAIL}  # never green
    assert {check.known_failure for check in checks} == {"see issue 12"}
    assert all(check.simplest is not None for check in checks)
    document = json.loads(to_json(report.results))
    assert (document["exit_status"], document["known_failures"]) == (0, len(checks))
    assert document["sum"]["fail"] == len(checks)
    page = render_report(document)
    assert "see issue 12" in page
    assert "Not right" in page


@pytest.mark.usefixtures("no_simplest")
def test_strict_does_not_count_it_either():
    adapter = Adapter("subject")
    adapter.provides("posterior_mean", loses_digits)
    adapter.known_failure("posterior_mean", **DECLARED)
    report = verify(adapter, roles=["posterior_mean"], scenarios=["dirac", "digits"], today=TODAY, strict=True)
    known = [check for check in report.results.checks if check.known_failure]
    assert report.ok
    assert known
    assert {check.verdict for check in known} == {Verdict.INACCURATE}


@pytest.mark.usefixtures("no_simplest")
@pytest.mark.parametrize("scope", [{"log_snr": (0, 20)}, {"dtypes": ["float32"]}, {"check": "score"}])
def test_outside_its_scope_the_check_judges_as_always(scope):
    report, checks = checked(wrong_where_noise_dominates, **scope)
    assert not report.ok
    for check in checks:
        assert check.verdict is Verdict.FAIL
        assert check.known_failure is None
        assert "known" not in check.message
        assert check.simplest.log_snr < 0


def test_only_the_failures_outside_the_scope_are_shown():
    _, checks = checked(wrong, log_snr=(-5, 30))
    for check in checks:
        assert check.verdict is Verdict.FAIL
        assert check.known_failure is None
        assert check.simplest.log_snr < -5
        assert check.worst.log_snr < -5


@pytest.mark.usefixtures("no_simplest")
def test_a_failure_in_one_scenario_alone():
    report, checks = checked(wrong, "posterior_mean/prop-2/digits")
    verdicts = {check.scenario: (check.verdict, check.known_failure) for check in checks}
    assert verdicts["digits"] == (Verdict.FAIL, "see issue 12")
    assert verdicts["dirac"] == (Verdict.FAIL, None)
    assert not report.ok


@pytest.mark.usefixtures("no_simplest")
@pytest.mark.parametrize("function", [wrong, loses_digits], ids=["wrong", "inaccurate"])
def test_past_its_ceiling_it_fails_and_says_so(function):
    report, checks = checked(function, ceiling=17)
    assert not report.ok
    failed = [check for check in checks if check.verdict is Verdict.FAIL]
    assert failed
    for check in failed:
        assert check.known_failure is None
        assert "exceeds the declared ceiling of 17; find out what made it worse" in check.message


@pytest.mark.usefixtures("no_simplest")
@pytest.mark.parametrize(("until", "ok"), [("2026-05-17", True), (TODAY - datetime.timedelta(days=1), False)])
def test_past_its_date_it_fails_and_says_so(until, ok):
    report, checks = checked(wrong, until=until)
    assert report.ok is ok
    if not ok:
        assert all("to be mended by 2026-05-16; mend it, or set another date" in check.message for check in checks)


def test_a_failure_that_is_gone_fails_and_says_so():
    report, checks = checked(right)
    assert not report.ok
    for check in checks:
        assert check.verdict is Verdict.FAIL
        assert "It passes, although a known failure is declared (“see issue 12”): remove known_failure" in check.message


def test_a_failure_is_not_gone_where_its_checks_did_not_all_run():
    adapter = Adapter("subject")
    adapter.provides("posterior_mean", right)
    adapter.known_failure("posterior_mean", **DECLARED)
    assert verify(adapter, roles=["posterior_mean"], scenarios=["dirac"], today=TODAY).ok


@pytest.mark.usefixtures("no_simplest")
def test_what_breaks_is_never_excused():
    def breaks(x, alpha, sigma, eps):
        raise RuntimeError("out of order")

    report, checks = checked(breaks)
    assert not report.ok
    assert {check.verdict for check in checks} == {Verdict.ERROR}


@pytest.mark.usefixtures("no_simplest")
def test_a_nan_exceeds_every_ceiling():
    report, checks = checked(lambda x, data: x + np.nan)
    assert not report.ok
    assert {check.verdict for check in checks} == {Verdict.FAIL}


def test_workers_know_of_it():
    assert checked(wrong, jobs=2)[0].ok


@pytest.mark.parametrize(
    ("changes", "phrase"),
    [
        ({"check": "posterior_maen"}, "Did you mean 'posterior_mean'?"),
        ({"check": "posterior_mean/eq-1"}, "names no check"),
        ({"check": "posterior_mean/prop-2/digit"}, "Did you mean 'posterior_mean/prop-2/digits'?"),
        ({"reason": " "}, "needs a reason"),
        ({"ceiling": 10}, "ceiling must be a number above 16"),
        ({"ceiling": math.nan}, "ceiling must be a number above 16"),
        ({"ceiling": math.inf}, "ceiling must be a number above 16"),
        ({"until": "next year"}, "until must be a date such as '2027-03-31'"),
        ({"until": None}, "until must be a date"),
        ({"dtypes": ["float23"]}, "dtype 'float23' is not known"),
        ({"log_snr": (3, 1)}, r"log_snr must be a pair \(low, high\)"),
        ({"log_snr": 3}, r"log_snr must be a pair \(low, high\)"),
    ],
)
def test_what_cannot_be_declared_is_explained(changes, phrase):
    arguments = {"check": "posterior_mean", **DECLARED, **changes}
    with pytest.raises(UnusableError, match=phrase):
        Adapter("subject").known_failure(arguments.pop("check"), **arguments)
