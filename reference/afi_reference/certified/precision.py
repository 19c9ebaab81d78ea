"""The working precision of python-flint: set, restored, and raised until an answer is tight."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from flint import arb, ctx

# |x - fl(x)| <= u / (1 + u) |x| for u = 2**-53, which leaves u**2 / (1 + u) > 2**-107 for the ball itself:
# the error of the rounded answer, rounding included, then stays below 2**-53 of its norm.
_RELATIVE_BITS = 107
# Below half of the smallest subnormal 2**-1074, no float64 could tell the ball from its midpoint.
_ABSOLUTE_BITS = 1076

_LOCK = threading.RLock()


@contextmanager
def working_precision(bits: int) -> Iterator[None]:
    """Set python-flint's working precision to ``bits`` and restore the old one, also after an exception.

    python-flint keeps its precision in one variable for the whole process. A lock keeps two threads that
    come through here apart. Another thread that sets ``flint.ctx.prec`` itself can still lower the
    precision meanwhile (or find its own setting undone): balls then come out wider, never wrong, since every
    single operation encloses its result at whatever precision it runs.

    Parameters
    ----------
    bits
        The precision of the midpoints, at least 2.

    Yields
    ------
    None
        While the precision is in force.
    """
    with _LOCK:
        before = ctx.prec
        ctx.prec = bits
        try:
            yield
        finally:
            ctx.prec = before


def ladder(first: int, last: int) -> Iterator[int]:
    """Yield ``first``, its doublings below ``last``, and ``last``; only ``last`` if ``first`` is above it."""
    bits = first
    while bits < last:
        yield bits
        bits *= 2
    yield last


def is_tight(balls: Sequence[arb]) -> bool:
    """Tell whether the balls, taken as one vector, determine a float64 answer.

    Parameters
    ----------
    balls
        The enclosures of the entries of a vector or matrix.

    Returns
    -------
    bool
        True if the norm of the radii is proven to be at most ``2**-107`` times the norm of the result, or
        at most ``2**-1076``. False for a ball that is not finite.
    """
    if not all(ball.is_finite() for ball in balls):
        return False
    with working_precision(64):
        radius = sum((ball.rad() ** 2 for ball in balls), arb(0))
        norm = sum((ball.abs_lower() ** 2 for ball in balls), arb(0))
        relative = radius <= norm * arb(2) ** (-2 * _RELATIVE_BITS)
        return bool(relative or radius <= arb(2) ** (-2 * _ABSOLUTE_BITS))
