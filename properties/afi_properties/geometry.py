"""Where atoms and points are put so that right and wrong formulas come apart.

Drawn naively (a point noised from a random atom) most problems are decided by a single atom, and then dropping
the whole covariance goes unnoticed. So atoms are placed around the point: with ``s = sigma / alpha``, an atom
at distance ``r s`` in direction ``u`` has log weight ``-r^2 / 2`` whatever the noise level and the dimension,
and its distance can be chosen to give any posterior.
"""

from collections.abc import Callable

import numpy as np

from afi_properties.problem import Array

GEOMETRIES = ("shared", "collinear", "clustered", "duplicated", "noised")
"""How the atoms lie, simplest first; see :func:`place_atoms`."""

RADII: dict[str, Callable[[int], float]] = {
    "1": lambda d: max(1.0, float(np.sqrt(d)) / 4),
    "sqrt(d)": lambda d: float(np.sqrt(d)),
    "2 sqrt(d)": lambda d: float(2 * np.sqrt(d)),
    "0.5": lambda d: max(0.5, float(np.sqrt(d)) / 8),
    "40": lambda d: 40.0,
}
"""Distances of the atoms from the point, in units of ``sigma / alpha``. At ``sqrt(d)`` the covariance's trace
weighs as much as the identity's in any dimension; ``1`` and ``0.5`` are that only up to 16 dimensions and then grow,
or float32 could not tell the covariance from nothing; at 40 every unnormalised weight underflows, even in float64."""

OFFSETS = {"0": 0.0, "1": 1.0, "100": 100.0}
"""Distance of the data from the origin, per root of the dimension."""

_SAME = 1e-9
"""Atoms this much nearer to each other's line or plane than to each other are on it."""

WEIGHTS = ("uniform", "varied", "tiny")
"""Weights of the atoms or components; ``tiny``: some are orders of magnitude below uniform."""

COVARIANCES: dict[str, tuple[float, ...]] = {
    "cov1": (1.0,),
    "cov0.1": (0.1,),
    "cov10": (10.0,),
    "mixed": (0.1, 10.0),
    "cov0": (0.0,),
}
"""Scales of the components' covariances, in units of ``(sigma / alpha)^2``, dealt out in turn."""


def unit_directions(rng: np.random.Generator, count: int, dimension: int) -> Array:
    """Return ``count`` independent uniform directions, shape (count, dimension)."""
    vectors = rng.standard_normal((count, dimension))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def place_atoms(
    rng: np.random.Generator, geometry: str, weights: Array, dimension: int, radius: float
) -> tuple[Array, Array]:
    """Return atoms (N, d) in units of ``sigma / alpha`` about the point, and the point's own deviation's scale.

    ``shared``: in random directions, at distances that give a posterior drawn uniformly from the simplex;
    ``collinear``: on a line; ``clustered``: two tight groups; ``duplicated``: every atom twice or more;
    ``noised``: normal atoms of norm ``radius``, the point noised from one of them, which takes all if they are far.
    """
    count = len(weights)
    if geometry == "noised":
        return radius / np.sqrt(dimension) * rng.standard_normal((count, dimension)), np.array(1.0)
    posterior = rng.dirichlet(np.ones(count))
    # log w_i - r_i^2 / 2 = log posterior_i + constant; the constant makes the nearest atom lie at `radius`.
    excess = 2 * (np.log(weights) - np.log(np.maximum(posterior, 1e-3)))
    distances = np.sqrt(radius**2 + excess - excess.min())
    directions = unit_directions(rng, count, dimension)
    if geometry == "collinear":
        directions = np.where(_sides(rng, count)[:, None], -1, 1) * directions[:1]
    elif geometry == "clustered":
        directions = directions[_sides(rng, count).astype(int) % count]
        distances = distances + min(0.05, 0.3 / radius) * rng.standard_normal(count)
    elif geometry == "duplicated":
        half = (count + 1) // 2
        twins = np.arange(count) % half
        directions, distances = directions[twins], distances[twins]
    # A deviation of e changes the log weights by r * <e, u>: small enough to keep the posterior shared.
    return distances[:, None] * directions, np.array(0.5 / max(1.0, radius))


def _sides(rng: np.random.Generator, count: int) -> Array:
    """Return one of two sides at random for each atom, (N,), with an atom on either side if there are two."""
    sides = rng.random(count) < 0.5
    sides[:2] = (False, True)[:count]
    return sides


def place_components(
    rng: np.random.Generator, covariances: Array, weights: Array, radius: float
) -> tuple[Array, Array]:
    """Return means (K, d) in units of ``sigma / alpha`` about the point, and the point's own deviation's scale.

    They lie in random directions, at distances that give a posterior drawn uniformly from the simplex whatever the
    determinants of the ``covariances`` (K, d, d), the nearest at ``radius`` times a component's width. Where the
    determinants differ by too much for that, as between narrow and wide components, the narrow ones are moved away.
    """
    count, dimension = len(covariances), covariances.shape[1]
    posterior = np.maximum(rng.dirichlet(np.ones(count)), 1e-3)
    directions = unit_directions(rng, count, dimension)
    diffused = covariances + np.eye(dimension)
    log_determinants = np.linalg.slogdet(diffused)[1]
    inverse_widths = np.einsum("ki,ki->k", directions, np.linalg.solve(diffused, directions[..., None])[..., 0])
    # log w_k - log det_k / 2 - (rho_k^2 inverse_width_k) / 2 = log posterior_k + constant, as for atoms.
    excess = 2 * (np.log(weights) - np.log(posterior)) - log_determinants
    squares = radius**2 + excess - excess.min()
    means = np.sqrt(squares / inverse_widths)[:, None] * directions
    # Two quadratic forms of a deviation e differ by |e|^2 / sqrt(d): small enough to keep the posterior shared.
    width = 1 / np.sqrt(inverse_widths.max())
    return means, np.array(0.5 * width / max(1.0, radius, dimension**0.25))


def balance_directions(v: Array, atoms: Array, deviations: Array, weights: Array, centre: Array) -> Array:
    """Return the directions (B, d) with less of what the atoms span, where their covariance outweighs the identity.

    Of a random direction, the span of N atoms takes a part of about ``1 / sqrt(d)``, on which the covariance acts by up
    to the square of the radius: at radius ``2 sqrt(d)`` it is ``4 sqrt(d)`` times the identity, which float32 then
    cannot tell from nothing. The part in the span is scaled so that ``|Cov v|`` in units of the noise's variance is at
    most ``|v|``; and so is the part along the ``centre``, for what is told from ``<mean, v> mean``. Where the atoms
    span the whole space there is nothing to balance with.

    Parameters
    ----------
    v
        Directions, shape (B, d).
    atoms, deviations
        Atoms (N, d) and points (B, d), in units of ``sigma / alpha``.
    weights
        Of the atoms, shape (N,).
    centre
        What was added to atoms and points, shape (d,), in the same units.
    """
    # |e|^2 is the same for all atoms.
    logits = np.log(weights) + deviations @ atoms.T - (atoms * atoms).sum(axis=1) / 2
    posterior = np.exp(logits - logits.max(axis=1, keepdims=True))
    posterior /= posterior.sum(axis=1, keepdims=True)
    along = v @ atoms.T
    moments = posterior * (along - (posterior * along).sum(axis=1, keepdims=True))
    # Cov v = sum of p_i <y_i - mean, v> y_i: the coefficients sum to zero, so that the mean need not be taken off y_i.
    shares = np.linalg.norm(moments @ atoms, axis=1) / np.linalg.norm(v, axis=1)
    vectors, lengths, _ = np.linalg.svd((atoms - atoms[0]).T, full_matrices=False)
    basis = vectors[:, lengths > _SAME * lengths.max()]
    if basis.shape[1] == len(centre):
        return v
    in_span = (v @ basis) @ basis.T
    rest = centre - basis @ (basis.T @ centre)
    size = np.linalg.norm(rest)
    along_rest = np.outer(v @ rest, rest) / size**2 if size > 0 else np.zeros_like(v)
    lengths_along = np.linalg.norm(along_rest, axis=1) * size**2 / np.linalg.norm(v, axis=1)
    return np.asarray(v - _excess(shares) * in_span - _excess(lengths_along) * along_rest)


def _excess(shares: Array) -> Array:
    """Return what to take away of a part whose term is ``shares`` (B,) times the identity's, shape (B, 1)."""
    return (1 - 1 / np.maximum(shares, 1))[:, None]


def coarsen(values: Array) -> Array:
    """Round to multiples of 1/8: the simplest counterexamples have simple numbers."""
    return np.round(values * 8) / 8


def covariance_of_scale(rng: np.random.Generator, dimension: int, scale: float) -> Array:
    """Return a random symmetric covariance (d, d) with eigenvalues between ``scale / 2`` and ``2 scale``.

    Well conditioned, so that rounding its entries, even to 8 bits, leaves it positive definite.
    """
    orthogonal, _ = np.linalg.qr(rng.standard_normal((dimension, dimension)))
    eigenvalues = scale * 2 ** rng.uniform(-1, 1, dimension)
    covariance: Array = (orthogonal * eigenvalues) @ orthogonal.T
    return (covariance + covariance.T) / 2
