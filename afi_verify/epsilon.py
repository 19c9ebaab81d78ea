"""Functions of known Jacobian, in any array library: what plays a trained network in the autodiff roles.

Each stands on its own: replay scripts contain its source. Points have shape (..., d), noise levels are zero-
dimensional arrays or have shape (...,), so that they work under vmap too.
"""

from typing import Any


def dirac_posterior(x: Any, alpha: Any, sigma: Any, atoms: Any, log_weights: Any, softmax: Any) -> Any:
    """Return the posterior weights (..., N), and the atoms (..., N, d) and x's noise (..., d) from the likeliest.

    Everything is measured from the likeliest atom: differentiating the squared distances themselves would lose
    digits to what they have in common, and the code under test would be blamed for it. Differences are formed
    for every point and atom at once; test problems are small.
    """
    alphas, sigmas = alpha[..., None, None], sigma[..., None, None]
    distances = ((x[..., None, :] - alphas * atoms) ** 2).sum(-1)
    likeliest = (log_weights - distances.real / (2 * sigmas[..., 0] ** 2)).argmax(-1)
    reference = atoms[likeliest[..., None]]  # an index with an axis: without one, torch cannot index under vmap
    differences = atoms - reference
    noise = x - alphas[..., 0] * reference[..., 0, :]
    exponents = (differences * (noise[..., None, :] - alphas * differences / 2)).sum(-1)
    weights = softmax(log_weights + alphas[..., 0] / sigmas[..., 0] ** 2 * exponents)
    return weights, differences, noise


def skew_epsilon(x: Any, sigma: Any, p: Any, q: Any, centre: Any, tanh: Any) -> Any:
    """Return ``c x + p tanh(<q, x - centre>)`` with ``c = 1 + sigma / (1 + sigma)``: its Jacobian is not symmetric."""
    scale = 1 + sigma / (1 + sigma)
    return scale[..., None] * x + tanh(((x - centre) * q).sum(-1))[..., None] * p
