"""Uniform laws, by the derivatives of the closed form of their log density."""

from collections.abc import Sequence
from typing import NamedTuple

from flint import arb, arb_series

from afi_verify.bench.accuracy.truths.balls import Numbers, Posterior, Symmetric, squared_norm, total


class Line(NamedTuple):
    """A posterior in one dimension."""

    log_density: arb
    score: arb
    mean: arb
    variance: arb
    fisher: arb

    @classmethod
    def of(cls, p: Posterior) -> "Line":
        """Return a posterior of dimension 1 as a line."""
        return cls(p.log_density, p.score[0], p.mean[0], p.covariance.trace(), p.fisher.trace())

    def posterior(self) -> Posterior:
        """Return it as a posterior of dimension 1."""
        covariance, fisher = Symmetric.of_diagonal([self.variance]), Symmetric.of_diagonal([self.fisher])
        return Posterior(self.log_density, [self.score], [self.mean], covariance, fisher)


def interval(x: arb, low: arb, high: arb, alpha: arb, sigma: arb) -> Line:
    """Return the posterior of the uniform law on ``[low, high]``.

    ``q_t`` is a difference of error functions; Tweedie's formulas give the moments from its derivatives.
    """
    root, variance = sigma * arb(2).sqrt(), sigma * sigma
    left, right = (alpha * low - x) / root, (alpha * high - x) / root
    if right < 0:
        mirrored = interval(-x, -high, -low, alpha, sigma)
        return mirrored._replace(score=-mirrored.score, mean=-mirrored.mean)
    if left > 0:  # a common factor apart, which is too small for balls where it is far
        ratio = arb_series([(left - right) * (left + right), -2 * (left - right) / root], prec=3).exp()
        mass = _scaled_tail(left, root) - ratio * _scaled_tail(right, root)
        common = (-left * left, 2 * left / root, 1 / variance)
    else:
        mass = 2 - arb_series([right, -1 / root], prec=3).erfc() - arb_series([-left, 1 / root], prec=3).erfc()
        common = (arb(0), arb(0), arb(0))
    m0, m1, m2 = (mass[i] for i in range(3))
    slope = m1 / m0
    value = common[0] + (m0 / (2 * alpha * (high - low))).log()
    score, fisher = common[1] + slope, common[2] + slope * slope - 2 * m2 / m0
    mean, spread = (x + variance * score) / alpha, variance / alpha**2 * (1 - variance * fisher)
    return Line(value, score, mean, spread, fisher)


def _scaled_tail(edge: arb, root: arb) -> arb_series:
    """Return ``exp(z^2) erfc(z)`` at ``z = edge - t / root``, edge > 0, as a series in t."""
    value = (edge * edge).hypgeom_u(arb(1) / 2, arb(1) / 2) / arb.pi().sqrt()
    slope = 2 * edge * value - 2 / arb.pi().sqrt()
    return arb_series([value, -slope / root, (value + edge * slope) / root**2], prec=3)


def box(n: Numbers) -> Posterior:
    """Parameters ``low`` and ``high``: the coordinates are independent."""
    return independent(
        [interval(x, a, b, n["alpha"][0], n["sigma"][0]) for x, a, b in zip(n["x"], n["low"], n["high"], strict=True)]
    )


def independent(lines: Sequence[Line]) -> Posterior:
    """Return the posterior of independent coordinates."""
    return Posterior(
        total(line.log_density for line in lines),
        [line.score for line in lines],
        [line.mean for line in lines],
        Symmetric.of_diagonal([line.variance for line in lines]),
        Symmetric.of_diagonal([line.fisher for line in lines]),
    )


def segment(n: Numbers) -> Posterior:
    """Parameters ``start`` and ``end``: an interval along, a point across."""
    x, start, alpha, sigma = n["x"], n["start"], n["alpha"][0], n["sigma"][0]
    side = [b - a for a, b in zip(start, n["end"], strict=True)]
    length = squared_norm(side).sqrt()
    direction = [s / length for s in side]
    noise = [p - alpha * a for p, a in zip(x, start, strict=True)]
    position = total(p * u for p, u in zip(noise, direction, strict=True))
    line = interval(position, arb(0), length, alpha, sigma)
    if len(x) == 1:
        mean = start[0] + line.mean * direction[0]
        return line._replace(score=line.score * direction[0], mean=mean).posterior()
    across = [p - position * u for p, u in zip(noise, direction, strict=True)]
    variance = sigma * sigma
    codimension = len(x) - 1
    return Posterior(
        line.log_density - squared_norm(across) / (2 * variance) - codimension * (2 * arb.pi() * variance).log() / 2,
        [line.score * u - a / variance for u, a in zip(direction, across, strict=True)],
        [a + line.mean * u for a, u in zip(start, direction, strict=True)],
        Symmetric.rank_one(arb(0), line.variance, direction),
        Symmetric.rank_one(1 / variance, line.fisher - 1 / variance, direction),
    )


def sphere(n: Numbers) -> Posterior:
    """Parameters ``centre`` and ``radius``: ``q_t`` is a Gaussian factor times ``0F1(; d/2; kappa^2 / 4)``.

    ``0F1(; b; z)' = 0F1(; b + 1; z) / b``, and all is a function of the squared distance: nothing special happens at
    the centre, nor in one dimension, where the sphere is two points.
    """
    x, radius, alpha, variance = n["x"], n["radius"][0], n["alpha"][0], n["sigma"][0] ** 2
    offset = [p - alpha * c for p, c in zip(x, n["centre"], strict=True)]
    squared = squared_norm(offset)
    scale = (alpha * radius / (2 * variance)) ** 2
    d, b, z = len(x), arb(len(x)) / 2, scale * squared
    zeroth, first, second = (z.hypgeom_0f1(b + i) for i in range(3))
    slope = first / (b * zeroth)
    bend = second / (b * (b + 1) * zeroth) - slope * slope
    pull = 2 * scale * slope
    stretch = 4 * scale * scale * bend
    across = 1 / variance - pull
    score = [-across * o for o in offset]
    gain = (variance / alpha) ** 2
    if d == 1:
        fisher, covariance = across - stretch * squared, gain * (pull + stretch * squared)
        matrices = Symmetric.of_diagonal([covariance]), Symmetric.of_diagonal([fisher])
    else:
        matrices = (
            Symmetric.rank_one(gain * pull, gain * stretch, offset),
            Symmetric.rank_one(across, -stretch, offset),
        )
    exponent = (squared + (alpha * radius) ** 2) / (2 * variance) + d * (2 * arb.pi() * variance).log() / 2
    return Posterior(
        zeroth.log() - exponent, score, [(p + variance * s) / alpha for p, s in zip(x, score, strict=True)], *matrices
    )
