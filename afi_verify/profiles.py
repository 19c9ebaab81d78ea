"""How much a run tries."""

import dataclasses

from afi_verify.errors import UnusableError


@dataclasses.dataclass(frozen=True)
class Profile:
    """A budget: how many batched cases each check gets, besides those on real data."""

    name: str
    rounds: int  # of every size, with all other choices dealt out evenly
    drawn: int  # by Hypothesis
    steered: int  # by Hypothesis towards large errors


PROFILES = {p.name: p for p in (Profile("quick", 1, 15, 0), Profile("ci", 4, 60, 40), Profile("deep", 40, 1000, 400))}
DEFAULT_PROFILE = "quick"


def profile_named(name: str) -> Profile:
    """Return the profile called ``name``.

    Raises
    ------
    UnusableError
        If there is none.
    """
    if name not in PROFILES:
        raise UnusableError(f"profile {name!r} is not known; choose one of: {', '.join(PROFILES)}.")
    return PROFILES[name]
