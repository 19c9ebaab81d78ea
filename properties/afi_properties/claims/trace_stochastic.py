"""Stochastic estimates of the trace of the Jacobian of epsilon: Appendix C.5 (Hutchinson's estimator).

The appendix states the mean. A mean alone cannot be tested without saying how widely the answers scatter, so the claim
here states that, too: not more than :data:`SCATTER` times what Hutchinson's estimator with Gaussian probes has, which
leaves room for estimators that spend a part of their products otherwise (Hutch++ a third or two).
"""

import numpy as np

from afi_properties.claim import DIRAC_PARAMETERS, POINT_PARAMETERS, Claim
from afi_properties.claims.autodiff import trace
from afi_properties.inputs import Inputs
from afi_properties.problem import Array
from afi_reference.dirac import DiracMixture

SCATTER = 4.0
"""Largest variance, in multiples of that of Hutchinson's estimator with Gaussian probes."""


def hutchinson_variance(i: Inputs) -> Array:
    """Return the variance of ``<z, J z> / sigma`` for standard normal z: ``2 |S|^2``, S the symmetric part, (B,)."""
    if i.skew is not None:
        p, q = i.skew.p, i.skew.q
        scale, slope = i.skew.scale(i.sigma), i.skew.slope(i.x)
        square = scale**2 * i.dimension + 2 * scale * slope * (p @ q)
        square += slope**2 * ((p @ p) * (q @ q) + (p @ q) ** 2) / 2
        return np.asarray(2 * square / i.sigma**2)
    assert isinstance(i.law, DiracMixture)
    norms = []
    for x, alpha, sigma in zip(i.x, i.alpha, i.sigma, strict=True):
        weights = i.law.posterior_weights(x[None], alpha, sigma)[0]
        atoms = i.law.atoms - weights @ i.law.atoms
        # From the Gram matrix of the atoms: the covariance itself may be too large.
        gram = np.sqrt(weights)[:, None] * (atoms @ atoms.T) * np.sqrt(weights) * alpha**2 / sigma**2
        norms.append((i.dimension - 2 * np.trace(gram) + (gram**2).sum()) / sigma**4)
    return 2 * np.array(norms)


CLAIMS = (
    Claim(
        role="fisher_trace_stochastic",
        label="app-c-5",
        family="dirac",
        statement="E[estimate] = tr J/σ over seeds; variance at most 4 · 2‖(J + Jᵀ)/2σ‖²/num_probes; a seed decides",
        answer="scalar",
        truth=trace,
        wrong={},
        parameters=POINT_PARAMETERS | DIRAC_PARAMETERS | {"eps_fn", "num_probes", "seed"},
        eps_kinds=("lopsided", "exact"),
        random=True,
    ),
)
