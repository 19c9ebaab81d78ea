"""Where eq. 20 is good: data whose outer products ``y y^T`` are nearly all the same.

Eq. 20 puts one endpoint's outer product in the place of the posterior mean of all. With exact epsilon it is therefore
exact wherever all atoms that share the posterior have the same ``y y^T``, that is for two antipodes ``y`` and ``-y``:
there the covariance is large and the second moment certain. This moves the two away from the origin together.
"""

from typing import Any

import numpy as np

from afi_properties.training import diffused_points
from afi_reference import DiracMixture

OFFSETS = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0)
LOG_SNRS = (-6.0, -4.0, -2.0, 0.0)
DIMENSION, POINTS = 8, 400


def measure_antipodes() -> list[dict[str, Any]]:
    """Return the relative operator errors of eq. 20 and of ``I / sigma^2``, by offset and noise level.

    The atoms are ``c + u`` and ``c - u``, u of length 2, c at right angles to it and ``offset`` times as long. The
    endpoint is the atom that the flow ends at, the nearer one; epsilon is exact. Points are shared by all offsets.
    """
    u = np.zeros(DIMENSION)
    u[0] = 2.0
    rows = []
    for log_snr in LOG_SNRS:
        alpha, sigma = np.sqrt(1 / (1 + np.exp(-log_snr))), np.sqrt(1 / (1 + np.exp(log_snr)))
        for offset in OFFSETS:
            c = np.zeros(DIMENSION)
            c[1] = 2.0 * offset
            law = DiracMixture(np.stack([c + u, c - u]))
            rng = np.random.default_rng(25)
            x = diffused_points(law, np.full(POINTS, alpha), np.full(POINTS, sigma), rng)
            truth, mean = law.fisher(x, alpha, sigma), law.posterior_mean(x, alpha, sigma)
            x0 = law.atoms[law.posterior_weights(x, alpha, sigma).argmax(axis=1)]
            trivial = np.broadcast_to(np.eye(DIMENSION) / sigma**2, truth.shape)
            outer = x0[:, :, None] * x0[:, None] - mean[:, :, None] * mean[:, None]
            endpoint = trivial - alpha**2 / sigma**4 * outer
            size = np.sqrt((truth**2).sum())
            rows.append(
                {
                    "log_snr": log_snr,
                    "offset": offset,
                    "AFI-EA": float(np.sqrt(((endpoint - truth) ** 2).sum()) / size),
                    "trivial": float(np.sqrt(((trivial - truth) ** 2).sum()) / size),
                }
            )
    return rows
