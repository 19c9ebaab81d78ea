"""A law on a line, given by its density: rigorous integration of the posterior's moments."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from flint import acb, arb

from afi_verify.bench.accuracy.truths.balls import total
from afi_verify.bench.accuracy.truths.uniform import Line


@dataclasses.dataclass(frozen=True)
class Piece:
    """Where a density is analytic."""

    low: float
    high: float
    density: Callable[[Any], Any]  # of acb, and of arb; not normalised


def line_of_density(pieces: Sequence[Piece], x: arb, alpha: arb, sigma: arb) -> Line:
    """Return the posterior at a point. Its moments are taken about a point near its mode, found in float64."""
    mode, width = _mode(pieces, float(x.mid()), float(alpha.mid()), float(sigma.mid()))
    centre, variance = arb(mode), sigma * sigma
    noise = x - alpha * centre

    def weight(z: Any) -> Any:
        step = alpha * (z - centre)
        return ((2 * noise - step) * step / (2 * variance)).exp()

    def integral(function: Callable[[Any], Any], piece: Piece) -> arb:
        inner = [mode, *(mode + sign * k * width for k in (4, 16, 64, 256) for sign in (-1, 1))]
        even = np.linspace(piece.low, piece.high, 13).tolist()  # of short intervals, integration knows more
        ends = sorted({*even, *(e for e in inner if piece.low < e < piece.high)})
        return total(acb.integral(lambda z, _: function(z), a, b).real for a, b in itertools.pairwise(ends))

    def moment(k: int, piece: Piece) -> arb:
        return integral(lambda z: (z - centre) ** k * piece.density(z) * weight(z), piece)

    mass = total(integral(piece.density, piece) for piece in pieces)
    m0, m1, m2 = (total(moment(k, piece) for piece in pieces) for k in range(3))
    shift = m1 / m0
    spread = m2 / m0 - shift * shift
    log_density = (m0 / mass).log() - noise * noise / (2 * variance) - (2 * arb.pi() * variance).log() / 2
    return Line(
        log_density,
        (alpha * shift - noise) / variance,
        centre + shift,
        spread,
        (1 - alpha * alpha * spread / variance) / variance,
    )


def _mode(pieces: Sequence[Piece], x: float, alpha: float, sigma: float) -> tuple[float, float]:
    """Return about where the posterior is highest, and about its width: they cost digits only."""
    slope = sigma / alpha
    best, where = -np.inf, pieces[0].low
    for piece in pieces:
        even = np.linspace(piece.low, piece.high, 2001)[1:-1]
        near = x / alpha + slope * np.linspace(-50, 50, 2001)
        near_ends = [end - sign * slope * 2.0 ** -np.arange(30) for sign, end in ((1, piece.high), (-1, piece.low))]
        candidates = np.concatenate([even, near, *near_ends])
        candidates = candidates[(candidates > piece.low) & (candidates < piece.high)]
        densities = np.array([float(piece.density(arb(c)).mid()) for c in candidates.tolist()])
        with np.errstate(divide="ignore"):
            heights = np.log(densities) - (x - alpha * candidates) ** 2 / (2 * sigma**2)
        if heights.max() > best:
            best, where = float(heights.max()), float(candidates[np.argmax(heights)])
    decay = slope * slope / max(slope, abs(x / alpha - where))
    return where, min(slope, decay, pieces[-1].high - pieces[0].low)
