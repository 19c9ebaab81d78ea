"""What the bounds bound: the errors of eq. 17 (corrected) and eq. 20 on a batch of cases, each from its definition."""

import dataclasses

import numpy as np

from afi_properties.bounds.cases import Cases
from afi_properties.bounds.formulas import (
    operator_bound,
    operator_bound_by_radius,
    printed_operator_bound,
    printed_trace_bound,
    trace_bound,
)
from afi_reference.distribution import Array

_ROUNDINGS = 64.0


@dataclasses.dataclass(frozen=True)
class Errors:
    """Errors, bounds and roundings, shape (B,), all in units of ``alpha^2 / sigma^4``.

    Attributes
    ----------
    trace, operator : Array
        The error of the trace by eq. 17 and of the operator of eq. 20 in the Hilbert-Schmidt norm.
    bounds : dict of str to Array
        By name, see `measure`.
    rounding : Array
        What float64 may have added to the errors, generously: what lies within it is not decided here.
    """

    trace: Array
    operator: Array
    bounds: dict[str, Array]
    rounding: Array


BOUNDS = {
    "trace": "trace",
    "trace, computable": "trace",
    "operator": "operator",
    "operator, radius": "operator",
    "trace, printed": "trace",
    "operator, printed": "operator",
    "operator, printed, for σF": "operator",
}
"""The names of the bounds, and what each bounds; the last three are the printed ones."""

CORRECTED = tuple(name for name in BOUNDS if "printed" not in name)


def measure(cases: Cases) -> Errors:
    """Compare the approximations of eq. 17 and eq. 20, with wrong networks, with the exact posterior.

    Parameters
    ----------
    cases : Cases
        B cases.

    Returns
    -------
    Errors
        Everything in units of ``alpha^2 / sigma^4``; the identity of eq. 11 cancels and is left out.
    """
    alpha, sigma, d = cases.alpha, cases.sigma, cases.x.shape[1]
    gaps = cases.x[:, None] - alpha[:, None, None] * cases.atoms
    logits = -(gaps**2).sum(-1) / (2 * sigma**2)[:, None]
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    mean = np.einsum("bn,bnd->bd", weights, cases.atoms)
    centred = cases.atoms - mean[:, None]
    covariance = np.einsum("bn,bnd,bne->bde", weights, centred, centred)
    variance = np.einsum("bdd->b", covariance)
    second_moment = (weights * (cases.atoms**2).sum(-1)).sum(-1)
    # The networks: exact plus error. The y-prediction is the one of section 2.1.
    exact_noise = (cases.x - alpha[:, None] * mean) / sigma[:, None]
    predicted = (cases.x - sigma[:, None] * (exact_noise + cases.noise_error)) / alpha[:, None]
    head = second_moment / d + cases.head_error
    outer = np.einsum("bd,be->bde", predicted, predicted) - np.einsum("bd,be->bde", cases.end, cases.end)
    delta_1, delta_2 = np.abs(cases.head_error), np.linalg.norm(cases.noise_error, axis=-1)
    mean_norm, end_norm = np.linalg.norm(mean, axis=-1), np.linalg.norm(cases.end, axis=-1)
    radius = np.sqrt((cases.atoms**2).sum(-1).max(-1))
    unit = alpha**2 / sigma**4
    in_units = {
        "trace": trace_bound(alpha, sigma, d, mean_norm, delta_1, delta_2),
        "trace, computable": trace_bound(alpha, sigma, d, np.linalg.norm(predicted, axis=-1), delta_1, delta_2),
        "operator": operator_bound(alpha, sigma, second_moment, mean_norm, end_norm, delta_2),
        "operator, radius": operator_bound_by_radius(alpha, sigma, radius, delta_2),
        "trace, printed": printed_trace_bound(alpha, sigma, delta_1, delta_2),
        "operator, printed": printed_operator_bound(alpha, sigma, d, radius, delta_2),
        "operator, printed, for σF": printed_operator_bound(alpha, sigma, d, radius, delta_2) / sigma,
    }
    # The y-prediction is formed from x: its rounding is relative to x / alpha, and enters squared.
    size = np.abs(cases.x).max(-1) / alpha + np.linalg.norm(predicted, axis=-1) + mean_norm
    rounding = _ROUNDINGS * np.finfo(float).eps * (size**2 + d * np.abs(head) + second_moment + end_norm**2)
    return Errors(
        trace=np.abs(variance - (d * head - (predicted**2).sum(-1))),
        operator=np.sqrt(((covariance + outer) ** 2).sum((-2, -1))),
        bounds={name: bound / unit for name, bound in in_units.items()},
        rounding=rounding,
    )
