"""Known failures held against what a check found: which findings they excuse, and what becomes of its result."""

import dataclasses
import datetime
from collections.abc import Sequence
from typing import TypeVar

from afi_verify.examination import Kind
from afi_verify.known_failures import KnownFailure, excusing, explain
from afi_verify.outcome import Shown
from afi_verify.planning import Check, Plan
from afi_verify.results import CheckResult, Verdict

Finding = TypeVar("Finding", bound=Shown)

_EXCUSABLE = (Kind.WRONG, Kind.INACCURATE, Kind.UNDECIDED)


@dataclasses.dataclass(frozen=True)
class Excuses:
    """The known failures that name a check.

    Attributes
    ----------
    about
        All of them.
    today
        The day on which they are accepted or past their date.
    """

    about: tuple[KnownFailure, ...]
    today: datetime.date

    @classmethod
    def of(cls, check: Check, plan: Plan) -> "Excuses":
        """Return those about ``check``."""
        return cls(tuple(failure for failure in check.adapter.known_failures if failure.names(check.id)), plan.today)

    def excuse(self, finding: Shown) -> list[KnownFailure]:
        """Return the known failures that excuse a finding; what broke is never excused."""
        if not self.about or finding.kind not in _EXCUSABLE:
            return []
        accepted = [failure for failure in self.about if self.today <= failure.until]
        return excusing(accepted, finding.errors, finding.problem.log_snr)

    def blamed(self, findings: Sequence[Finding]) -> tuple[list[Finding], bool]:
        """Return the findings that the verdict is about, and whether all that is wrong among them is known."""
        new = [finding for finding in findings if not self.excuse(finding)]
        if any(finding.kind is not Kind.RIGHT for finding in new):
            return new, False
        known = [finding for finding in findings if finding not in new]
        return (known, True) if known else (list(findings), False)

    def apply(self, result: CheckResult, blamed: Sequence[Shown], known: bool) -> CheckResult:
        """Return the result with the reason why it does not count, or why a known failure does not excuse it."""
        if known:
            reasons = {failure.reason: None for finding in blamed for failure in self.excuse(finding)}
            return dataclasses.replace(result, known_failure="; ".join(reasons))
        why = [explain(self.about, self.today, finding.errors, finding.problem.log_snr) for finding in blamed]
        said = max(why, key=len, default="")
        if said and result.verdict is not Verdict.PASS:
            return dataclasses.replace(result, verdict=Verdict.FAIL, message=f"{result.message} {said}")
        return result
