"""All claims that can be checked: a new one is a module in ``claims/`` or ``relations/`` and a line here."""

import dataclasses

from afi_properties.claim import POINT_PARAMETERS, Claim
from afi_properties.claims import (
    autodiff,
    endpoint,
    fisher,
    fisher_trace,
    fisher_vector_product,
    posterior_mean,
    score,
    trace_head,
    trace_matching,
    trace_stochastic,
)
from afi_properties.relation import Relation
from afi_properties.relations import (
    atoms,
    calls,
    covariance,
    expectations,
    noise_path,
    operator,
    symmetries,
    time,
    trace,
)
from afi_properties.relations import score as score_relations

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

RELATIONS: tuple[Relation, ...] = (
    *operator.RELATIONS,
    *trace.RELATIONS,
    *score_relations.RELATIONS,
    *covariance.RELATIONS,
    *calls.RELATIONS,
    *time.RELATIONS,
    *symmetries.RELATIONS,
    *atoms.RELATIONS,
    *expectations.RELATIONS,
    *noise_path.RELATIONS,
)
"""Claims that need no oracle: they tie the answers of one implementation to one another."""

UNKNOWN_DATA_CLAIMS: tuple[Claim, ...] = tuple(
    dataclasses.replace(claim, family="unknown", wrong={}, parameters=POINT_PARAMETERS | (claim.parameters & {"v"}))
    for claim in CLAIMS
    if claim.family == "dirac" and claim.role not in ("fisher_trace_matching", "fisher_vector_product_endpoint")
)
"""What a role returns and may ask for where nobody knows the data: there is no truth to compare it with."""

RANDOM_CLAIMS: tuple[Claim, ...] = (*trace_stochastic.CLAIMS, *trace_head.CLAIMS)
"""Claims about the distribution of random answers: a test over many answers decides, not the error of one."""

ROLES: tuple[str, ...] = tuple(dict.fromkeys(claim.role for claim in (*CLAIMS, *RANDOM_CLAIMS)))
"""Every role that an implementation can provide, in the order in which reports show them."""


def claims_of_role(role: str) -> tuple[Claim, ...]:
    """Return the claims about ``role``, one per family of data, unknown data included."""
    return tuple(claim for claim in (*CLAIMS, *RANDOM_CLAIMS, *UNKNOWN_DATA_CLAIMS) if claim.role == role)
