"""From the sums over all atoms to the quantities of the paper."""

import dataclasses
import math

from afi_reference.accumulator.arrays import Array, namespace, squared_norms
from afi_reference.accumulator.state import State


@dataclasses.dataclass(frozen=True, eq=False)
class Posterior:
    """What the atoms say about each point."""

    log_density: Array  # (B,): log q_t(x) in nats (eq. 26)
    score: Array  # (B, d): its gradient (eq. 27)
    posterior_mean: Array  # (B, d): E[x_0 | x_t = x] (Prop. 2)
    posterior_second_moment: Array  # (B,): E[|x_0|^2 | x_t = x], d times the optimal trace head (Prop. 6)
    fisher_trace: Array  # (B,): trace of the Fisher information (eq. 16)
    fisher_vector_product: Array | None  # (B, d): Fisher information times v (eq. 11)


def finish(state: State) -> Posterior:
    """Return the posterior's quantities after all atoms.

    Raises
    ------
    ValueError
        If there was no atom, or none of positive weight.
    """
    if not state.total_weight > 0:
        raise ValueError("there is no atom of positive weight: give at least one before finish.")
    xp = namespace(state.anchor)
    query = state.query
    batch, dimension = state.anchor.shape
    alpha, sigma = query.alpha[:, None], query.sigma[:, None]
    normaliser = state.normaliser[:, None]

    offset = state.moments[:batch, :] / normaliser
    mean = state.anchor + offset
    noise = alpha * state.anchor
    noise -= query.x  # backwards; in place, as memory that is new costs more than the arithmetic
    covariance_trace = state.second / state.normaliser - squared_norms(offset)
    logit = state.level - squared_norms(noise) / (2 * query.sigma**2)
    product = None
    if query.v is not None:
        along = xp.sum(offset * query.v, axis=1, keepdims=True)
        product = state.moments[batch:, :] / normaliser
        product -= along * offset  # now the product of the covariance
        product *= -((alpha / sigma) ** 2)
        product += query.v
        product /= sigma**2
    score = alpha * offset
    score += noise
    score /= sigma**2
    return Posterior(
        log_density=logit
        + (xp.log(state.normaliser) - math.log(state.total_weight))
        - dimension / 2 * xp.log(2 * math.pi * query.sigma**2),
        score=score,
        posterior_mean=mean,
        posterior_second_moment=covariance_trace + squared_norms(mean),
        fisher_trace=dimension / query.sigma**2 - (query.alpha / query.sigma**2) ** 2 * covariance_trace,
        fisher_vector_product=product,
    )
