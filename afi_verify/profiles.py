"""How much a run tries."""

import dataclasses

from afi_verify.errors import UnusableError


@dataclasses.dataclass(frozen=True)
class Profile:
    """A budget: how many batched cases each drawn check gets."""

    name: str
    cases: int


PROFILES = {p.name: p for p in (Profile("quick", 30), Profile("ci", 120), Profile("deep", 2000))}
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
