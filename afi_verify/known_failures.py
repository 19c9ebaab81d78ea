"""Failures that a codebase knows of: how far they reach, how bad they may be, and until when.

Inside its scope a known failure accepts errors up to its ceiling. It is never green: the verdict stays what it is, and
only the exit status does not count it. A failure that is gone, grows past its ceiling or outlives its date counts.
"""

import dataclasses
import datetime
import difflib
import math
from collections.abc import Mapping, Sequence

import numpy as np

from afi_properties.catalogue import ALL_CLAIMS, RELATIONS
from afi_properties.claim import AnyClaim, Claim
from afi_properties.judgement import LIMIT
from afi_properties.problem import Array
from afi_verify.backends import DTYPES
from afi_verify.errors import UnusableError
from afi_verify.results import CheckResult, Verdict

NO_ORACLE = "no-oracle"
SCENARIOS_OF_FAMILY = {"dirac": ("dirac", "digits", "own-data"), "gaussian-mixture": ("gaussian-mixture",)}

_WHOLE_RANGE = frozenset(claim.role for claim in ALL_CLAIMS if claim.answer == "head")
"""Roles whose errors are means over all noise levels."""


@dataclasses.dataclass(frozen=True)
class KnownFailure:
    """One declared failure; see :meth:`afi_verify.Adapter.known_failure`."""

    check: str  # role, role/claim or role/claim/scenario
    reason: str
    ceiling: float  # largest error accepted, in multiples of the attainable
    until: datetime.date  # the last day on which it is accepted
    dtypes: tuple[str, ...]  # empty: all
    log_snr: tuple[float, float]

    def names(self, check_id: str) -> bool:
        """Whether it is about the check with this id, adapter/dtype/role/claim/scenario."""
        *_, dtype, role, claim, scenario = check_id.split("/")
        wanted = self.check.split("/")
        return [role, claim, scenario][: len(wanted)] == wanted and (not self.dtypes or dtype in self.dtypes)

    def covers(self, log_snr: Array) -> Array:
        """Whether points at these noise levels are in its range, (B,) bool."""
        return np.asarray((log_snr >= self.log_snr[0]) & (log_snr <= self.log_snr[1]))


def make_known_failure(
    where: str,
    check: str,
    reason: str,
    ceiling: float,
    until: datetime.date | str,
    dtypes: Sequence[str],
    log_snr: tuple[float, float],
) -> KnownFailure:
    """Validate the arguments of :meth:`afi_verify.Adapter.known_failure`.

    Raises
    ------
    UnusableError
        If one of them is not what it should be.
    """
    where = f"{where}: known_failure({check!r})"
    known = _known_names()
    if check not in known:
        close = difflib.get_close_matches(str(check), known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        roles = ", ".join(name for name in known if "/" not in name)
        raise UnusableError(f"{where} names no check.{hint} Give a role ({roles}), or role/claim/scenario.")
    if not isinstance(reason, str) or not reason.strip():
        raise UnusableError(f"{where} needs a reason: what is wrong, and where it is being mended.")
    if not isinstance(ceiling, (int, float)) or not LIMIT < ceiling < math.inf:
        raise UnusableError(
            f"{where}: ceiling must be a number above {LIMIT:g}, in multiples of the attainable error, as an error of "
            f"{LIMIT:g} is no failure; got {ceiling!r}."
        )
    try:
        day = datetime.date.fromisoformat(until) if isinstance(until, str) else until
    except ValueError:
        day = None
    if type(day) is not datetime.date:
        raise UnusableError(f"{where}: until must be a date such as '2027-03-31'; got {until!r}.")
    for dtype in [dtypes] if isinstance(dtypes, str) else dtypes:
        if dtype not in DTYPES:
            raise UnusableError(f"{where}: dtype {dtype!r} is not known; choose from: {', '.join(DTYPES)}.")
    try:
        low, high = (float(end) for end in log_snr)
    except (TypeError, ValueError):
        low = high = math.nan
    if not low <= high:
        raise UnusableError(f"{where}: log_snr must be a pair (low, high) such as (10, 20); got {log_snr!r}.")
    if check.partition("/")[0] in _WHOLE_RANGE and (low, high) != (-math.inf, math.inf):
        raise UnusableError(f"{where}: its claim is about all noise levels at once; leave out log_snr.")
    names = (dtypes,) if isinstance(dtypes, str) else tuple(dtypes)
    return KnownFailure(check, reason, float(ceiling), day, names, (low, high))


def _known_names() -> list[str]:
    named = [
        (claim.role, claim.label, SCENARIOS_OF_FAMILY[claim.family] if _on_real_data(claim) else (claim.family,))
        for claim in ALL_CLAIMS
    ]
    named += [(relation.role, relation.label, (NO_ORACLE,)) for relation in RELATIONS]
    names: dict[str, None] = {}
    for role, label, scenarios in named:
        names[role] = None
        names[f"{role}/{label}"] = None
        names |= {f"{role}/{label}/{scenario}": None for scenario in scenarios}
    return list(names)


def _on_real_data(claim: AnyClaim) -> bool:
    return isinstance(claim, Claim) and not claim.random


def excusing(declared: Sequence[KnownFailure], errors: Array, log_snr: Array) -> list[KnownFailure]:
    """Return the known failures that accept all of the errors above the limit; none if some error is not accepted.

    Parameters
    ----------
    declared
        Those about this check that are not past their date.
    errors, log_snr
        Of each point, (B,), of a finding that is not right; ``nan`` where there is no error.
    """
    used = []
    bad = _bad(errors)
    open_ = bad.copy()
    for failure in declared:
        accepted = bad & failure.covers(log_snr) & (errors <= failure.ceiling)
        if accepted.any():
            used.append(failure)
            open_ &= ~accepted
    return used if bad.any() and not open_.any() else []


def _bad(errors: Array) -> Array:
    """Return which points of a finding that is not right are to blame for it, (B,) bool.

    A trajectory that approaches the truth too slowly, or is not decided, may be within the limit: then all of them.
    """
    bad = np.asarray(errors > LIMIT)
    return bad if bad.any() else ~np.isnan(errors)


def explain(declared: Sequence[KnownFailure], today: datetime.date, errors: Array, log_snr: Array) -> str:
    """Say why known failures in whose scope some bad points are do not excuse them; empty if there are none."""
    sentences = []
    for failure in declared:
        inside = _bad(errors) & failure.covers(log_snr)
        if inside.any() and today > failure.until:
            sentences.append(
                f"It was known (“{failure.reason}”), to be mended by {failure.until}; mend it, or set another date."
            )
        elif (inside & (errors > failure.ceiling)).any():
            sentences.append(
                f"It was known (“{failure.reason}”), but the error exceeds the declared ceiling of "
                f"{failure.ceiling:g}; find out what made it worse, or raise the ceiling."
            )
    return " ".join(sentences)


def without_stale(
    declared: Sequence[KnownFailure], results: Mapping[str, CheckResult], planned_in_full: Sequence[str]
) -> dict[str, CheckResult]:
    """Return an adapter's results in which checks that pass despite a known failure fail.

    A known failure is gone if every check that it names ran, had points in its range, and none needed it.

    Parameters
    ----------
    results
        By check id.
    planned_in_full
        The ids of all checks that could run, whether or not this run was restricted to some.
    """
    found = dict(results)
    for failure in declared:
        named = [check_id for check_id in planned_in_full if failure.names(check_id)]
        named += [check_id for check_id in results if failure.names(check_id) and check_id not in named]
        ran = [results[check_id] for check_id in named if check_id in results]
        ran = [result for result in ran if result.verdict is not Verdict.NOT_PROVIDED]
        skipped = any(check_id not in results for check_id in named)
        if skipped or not ran or any(result.verdict is not Verdict.PASS for result in ran):
            continue
        # A result without points is about all noise levels.
        inside = [r for r in ran if not r.points or failure.covers(np.array([p.log_snr for p in r.points])).any()]
        for result in inside:
            message = (
                f"It passes, although a known failure is declared (“{failure.reason}”): remove "
                f"known_failure({failure.check!r}), or narrow it to where it still fails."
            )
            found[result.id] = dataclasses.replace(result, verdict=Verdict.FAIL, message=message)
    return found
