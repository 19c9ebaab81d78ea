"""All claims that can be checked: a new one is a module in ``claims/`` and a line here."""

from afi_properties.claim import Claim
from afi_properties.claims import (
    autodiff,
    endpoint,
    fisher,
    fisher_trace,
    fisher_vector_product,
    posterior_mean,
    score,
    trace_matching,
)

CLAIMS: tuple[Claim, ...] = (
    *score.CLAIMS,
    *posterior_mean.CLAIMS,
    *fisher.CLAIMS,
    *fisher_vector_product.CLAIMS,
    *fisher_trace.CLAIMS,
    *autodiff.CLAIMS,
    *trace_matching.CLAIMS,
    *endpoint.CLAIMS,
)

ROLES: tuple[str, ...] = tuple(dict.fromkeys(claim.role for claim in CLAIMS))
"""Every role that an implementation can provide, in the order in which reports show them."""


def claims_of_role(role: str) -> tuple[Claim, ...]:
    """Return the claims about ``role``, one per family of data."""
    return tuple(claim for claim in CLAIMS if claim.role == role)
