"""All claims that can be checked: a new one is a module in ``claims/`` or ``relations/`` and a line here."""

import dataclasses

from afi_properties.claim import POINT_PARAMETERS, AnyClaim, Claim
from afi_properties.claims import (
    adjoint,
    autodiff,
    endpoint,
    fisher,
    fisher_trace,
    fisher_vector_product,
    log_likelihood,
    posterior_mean,
    score,
    trace_head,
    trace_matching,
    trace_stochastic,
    transport,
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
from afi_properties.trajectory import TrajectoryClaim

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

TRAJECTORY_CLAIMS: tuple[TrajectoryClaim, ...] = (
    *log_likelihood.CLAIMS,
    *adjoint.CLAIMS,
    *transport.CLAIMS,
)
"""Claims about what is integrated along the flow: the limit of many steps is judged, not one answer."""

ALL_CLAIMS: tuple[AnyClaim, ...] = (*CLAIMS, *RANDOM_CLAIMS, *TRAJECTORY_CLAIMS)
"""Every claim with an oracle, in the order in which reports show them."""

ROLES: tuple[str, ...] = tuple(dict.fromkeys(claim.role for claim in ALL_CLAIMS))
"""Every role that an implementation can provide, in the order in which reports show them."""


def claims_of_role(role: str) -> tuple[AnyClaim, ...]:
    """Return the claims about ``role``, one per family of data, unknown data included."""
    return tuple(claim for claim in (*ALL_CLAIMS, *UNKNOWN_DATA_CLAIMS) if claim.role == role)
