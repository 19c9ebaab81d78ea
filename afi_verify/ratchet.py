"""The ratchet: a file, kept with the code, of how good each check has been; it only tightens, and only by command."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from afi_verify.errors import UnusableError
from afi_verify.results import CheckResult, Results, Verdict

SCHEMA = "afi-verify/ratchet/1"

SLACK = 2.0
"""How many times the recorded error is accepted: machines and versions of libraries differ by less."""

_LEAST = 0.5
"""Smallest error that is recorded, in multiples of the attainable: below, there is nothing to hold on to."""


@dataclasses.dataclass(frozen=True)
class Ratchet:
    """What was recorded: the worst error of each check that passed, by its id."""

    profile: str
    seed: int
    errors: dict[str, float]

    def violations(self, results: Results) -> list[str]:
        """Return what is worse than recorded, as sentences; checks that this run did not plan do not count.

        Raises
        ------
        UnusableError
            If the results are of another profile or seed, and so of other cases.
        """
        self.require_same_cases(results.profile, results.seed)
        found = []
        for check in results.checks:
            if check.id in self.errors and check.known_failure is None:
                found += self._violation(check, self.errors[check.id])
        return found

    def _violation(self, check: CheckResult, recorded: float) -> list[str]:
        if check.verdict is not Verdict.PASS:
            return [f"{check.id}: {check.verdict.value}, and it passed when the ratchet was tightened."]
        error = check.worst_error or 0.0
        if error > SLACK * recorded:
            return [f"{check.id}: worst error {error:.3g}, more than {SLACK:g} times the recorded {recorded:.3g}."]
        return []

    def tightened(self, results: Results) -> "Ratchet":
        """Return the ratchet with what got better and what is new; nothing in it becomes looser.

        Raises
        ------
        UnusableError
            If the results are of another profile or seed.
        """
        self.require_same_cases(results.profile, results.seed)
        errors = dict(self.errors)
        for check in results.checks:
            if check.verdict is Verdict.PASS:
                error = max(float(f"{check.worst_error or 0.0:.3g}"), _LEAST)
                errors[check.id] = min(error, errors.get(check.id, error))
        return dataclasses.replace(self, errors=errors)

    def require_same_cases(self, profile: str, seed: int) -> None:
        """Make sure that a run draws the cases that were recorded.

        Raises
        ------
        UnusableError
            If it has another profile or seed.
        """
        if (self.profile, self.seed) != (profile, seed):
            raise UnusableError(
                f"The ratchet was recorded with --profile {self.profile} --seed {self.seed}, and this run has "
                f"--profile {profile} --seed {seed}: errors of different cases cannot be compared."
            )


def load_ratchet(path: Path) -> Ratchet:
    """Return the ratchet in a file.

    Raises
    ------
    UnusableError
        If there is none that this version can read.
    """
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ValueError(f"its schema is {document['schema']!r}, not {SCHEMA!r}")
        errors = {str(check): float(error) for check, error in document["worst_errors"].items()}
        return Ratchet(str(document["profile"]), int(document["seed"]), errors)
    except OSError as error:
        raise UnusableError(
            f"{path} cannot be read: {error.strerror}. `afi-verify ratchet --update {path} results.json` makes it."
        ) from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnusableError(
            f"{path} is no ratchet that this version can read ({error!r}); it is left as it is."
        ) from None


def write_ratchet(ratchet: Ratchet, path: Path) -> None:
    """Write a ratchet, whole or not at all, in an order that makes good diffs.

    Raises
    ------
    UnusableError
        If it cannot be written.
    """
    document = {
        "schema": SCHEMA,
        "profile": ratchet.profile,
        "seed": ratchet.seed,
        "worst_errors": dict(sorted(ratchet.errors.items())),
    }
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise UnusableError(f"{path} cannot be written: {error.strerror}. What was there is unchanged.") from None
    finally:
        partial.unlink(missing_ok=True)
