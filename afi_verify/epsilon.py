"""Functions of known Jacobian, in any array library: what plays a trained network in the autodiff roles.

Each stands on its own: replay scripts contain its source. Points have shape (..., d), noise levels are zero-
dimensional arrays or have shape (...,), so that they work under vmap too.
"""

from typing import Any


def posterior_average(
    values: Any, x: Any, alpha: Any, sigma: Any, atoms: Any, log_weights: Any, softmax: Any
) -> Any:
    """Return ``sum_i w_i values_i(noise_i)``, where ``noise_i = x - alpha y_i``, over a mixture of Diracs.

    Differences are formed for every point and atom at once: the expansion of the square would lose digits that
    the code under test is then blamed for, and test problems are small.
    """
    noise = x[..., None, :] - alpha[..., None, None] * atoms
    logits = log_weights - (noise * noise).sum(-1) / (2 * sigma[..., None] ** 2)
    return (softmax(logits)[..., None] * values(noise)).sum(-2)


def skew_epsilon(x: Any, sigma: Any, p: Any, q: Any, centre: Any, tanh: Any) -> Any:
    """Return ``c x + p tanh(<q, x - centre>)`` with ``c = 1 + sigma / (1 + sigma)``: its Jacobian is not symmetric."""
    scale = 1 + sigma / (1 + sigma)
    return scale[..., None] * x + tanh(((x - centre) * q).sum(-1))[..., None] * p
