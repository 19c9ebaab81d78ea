"""Gaussian mixtures whose covariances are a diagonal plus few directions; point masses are those without either."""

from collections.abc import Sequence

from flint import arb, arb_mat

from afi_reference.certified.exact import identity_matrix
from afi_verify.bench.accuracy.truths.balls import Numbers, Posterior, Symmetric, mixture, total


def low_rank_mixture(n: Numbers) -> Posterior:
    """Parameters ``means`` (K, d), ``factors`` (K, d, r), ``diagonal`` (K, d) and ``weights`` (K,)."""
    d, count = len(n["x"]), len(n["weights"])
    r = len(n["factors"]) // (count * d)
    parts = []
    for k in range(count):
        mean, diagonal = (n[name][k * d : (k + 1) * d] for name in ("means", "diagonal"))
        factor = arb_mat(d, r, list(n["factors"][k * d * r : (k + 1) * d * r])).transpose()
        parts.append(_gaussian(n["x"], mean, factor, diagonal, n["alpha"][0], n["sigma"][0]))
    return mixture(n["weights"], parts)


def scalar_mixture(
    x: arb, means: Sequence[arb], variances: Sequence[arb], weights: Sequence[arb], alpha: arb, sigma: arb
) -> Posterior:
    """Return the posterior of a mixture of Gaussians, or of point masses, in one dimension."""
    nothing = arb_mat(1, 1, [0])
    return mixture(
        weights, [_gaussian([x], [m], nothing, [v], alpha, sigma) for m, v in zip(means, variances, strict=True)]
    )


def _gaussian(
    x: Sequence[arb], mean: Sequence[arb], factor: arb_mat, diagonal: Sequence[arb], alpha: arb, sigma: arb
) -> Posterior:
    """By Woodbury's identity, for ``factor`` (r, d); its differences cost digits, of which there are enough."""
    d, r = factor.ncols(), factor.nrows()
    variance = sigma * sigma
    noise = [variance + alpha * alpha * v for v in diagonal]
    scaled = arb_mat(r, d, [factor[i, j] / noise[j] for i in range(r) for j in range(d)])
    inner = scaled * factor.transpose() * (alpha * alpha) + identity_matrix(r)
    inverse = inner.inv()
    precision = Symmetric([1 / s for s in noise], scaled, -alpha * alpha * inverse)
    residual = [p - alpha * m for p, m in zip(x, mean, strict=True)]
    score = [-e for e in precision.times(residual)]
    spanned = factor.transpose() * (factor * arb_mat(d, 1, score))
    shift = [v * s + e for v, s, e in zip(diagonal, score, spanned.entries(), strict=True)]
    log_determinant = total(s.log() for s in noise) + inner.det().log()
    distance = -total(p * s for p, s in zip(residual, score, strict=True))
    return Posterior(
        -(distance + log_determinant + d * (2 * arb.pi()).log()) / 2,
        score,
        [m - alpha * e for m, e in zip(mean, shift, strict=True)],
        Symmetric([variance * v / s for v, s in zip(diagonal, noise, strict=True)], scaled, variance**2 * inverse),
        precision,
    )
