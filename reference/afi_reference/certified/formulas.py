"""Formulas of numbers that are handed over (eq. 17 corrected, eq. 20), enclosed for those numbers as they are."""

from collections.abc import Callable, Sequence

from flint import arb

from afi_reference.certified.exact import as_exact_array, exact_number, exact_numbers
from afi_reference.certified.precision import is_tight, ladder, working_precision
from afi_reference.certified.result import Certified, PointAnswer, certify
from afi_reference.certified.validation import as_limits
from afi_reference.distribution import Array, Noise, as_noise_levels, as_points

_FIRST_BITS = 256


def enclose_trace_matching(
    x: Array, eps: Array, head: Array, alpha: Noise, sigma: Noise, *, max_precision: int = 4096
) -> Certified:
    """Enclose ``d / sigma^2 - alpha^2 / sigma^4 (d head - |y|^2)``, ``y = (x - sigma eps) / alpha`` (eq. 17 corrected).

    Parameters
    ----------
    x, eps
        Shape (B, d).
    head
        Shape (B,).
    alpha, sigma
        Numbers, or shape (B,).
    max_precision
        The largest number of bits to try.

    Returns
    -------
    Certified
        Shape (B,).

    Raises
    ------
    ValueError
        If a shape does not fit, or a number is not finite.
    """
    points, (epsilons,) = _rows(x, eps=eps)
    heads = as_exact_array(head, "head")
    if heads.shape != (len(points),):
        raise ValueError(f"head must have shape ({len(points)},), one number per point; got {heads.shape}.")

    def trace(i: int, a: arb, s: arb) -> list[arb]:
        mean = _predicted_mean(points[i], epsilons[i], a, s)
        d = len(mean)
        squared_mean = sum((m * m for m in mean), arb(0))
        return [d / s**2 - (a / s**2) ** 2 * (d * exact_number(heads[i]) - squared_mean)]

    return _certify(trace, points, alpha, sigma, (), max_precision)


def enclose_endpoint_product(
    x: Array, v: Array, x0: Array, eps: Array, alpha: Noise, sigma: Noise, *, max_precision: int = 4096
) -> Certified:
    """Enclose ``v / sigma^2 - alpha^2 / sigma^4 (<x0, v> x0 - <y, v> y)``, ``y = (x - sigma eps) / alpha`` (eq. 20).

    Parameters
    ----------
    x, v, x0, eps
        Shape (B, d).
    alpha, sigma
        Numbers, or shape (B,).
    max_precision
        The largest number of bits to try.

    Returns
    -------
    Certified
        Shape (B, d).

    Raises
    ------
    ValueError
        If a shape does not fit, or a number is not finite.
    """
    points, (directions, ends, epsilons) = _rows(x, v=v, x0=x0, eps=eps)

    def product(i: int, a: arb, s: arb) -> list[arb]:
        mean = _predicted_mean(points[i], epsilons[i], a, s)
        direction, end = exact_numbers(directions[i]), exact_numbers(ends[i])
        along_end = sum((p * q for p, q in zip(end, direction, strict=True)), arb(0))
        along_mean = sum((p * q for p, q in zip(mean, direction, strict=True)), arb(0))
        factor = (a / s**2) ** 2
        return [
            u / s**2 - factor * (along_end * e - along_mean * m) for u, e, m in zip(direction, end, mean, strict=True)
        ]

    return _certify(product, points, alpha, sigma, (points.shape[1],), max_precision)


def _predicted_mean(x: Array, eps: Array, alpha: arb, sigma: arb) -> list[arb]:
    return [(p - sigma * e) / alpha for p, e in zip(exact_numbers(x), exact_numbers(eps), strict=True)]


def _rows(x: Array, **others: Array) -> tuple[Array, list[Array]]:
    points = as_exact_array(x, "x")
    if points.ndim != 2:
        raise ValueError(f"x must have shape (B, d); got {points.shape}.")
    rows = [as_points(as_exact_array(value, name), points.shape[1], name) for name, value in others.items()]
    for name, value in zip(others, rows, strict=True):
        if len(value) != len(points):
            raise ValueError(f"{name} must have as many rows as x: {len(points)}; got {len(value)}.")
    return points, rows


def _certify(
    formula: Callable[[int, arb, arb], Sequence[arb]],
    points: Array,
    alpha: Noise,
    sigma: Noise,
    tail: tuple[int, ...],
    max_precision: int,
) -> Certified:
    limit, _ = as_limits(max_precision, None)
    levels = as_noise_levels(as_exact_array(alpha, "alpha"), as_exact_array(sigma, "sigma"), len(points))
    answers = [
        _search(formula, i, exact_number(a), exact_number(s), limit)
        for i, (a, s) in enumerate(zip(*levels, strict=True))
    ]
    return certify(answers, (len(points), *tail))


def _search(
    formula: Callable[[int, arb, arb], Sequence[arb]], point: int, alpha: arb, sigma: arb, limit: int
) -> PointAnswer:
    """Raise the precision until the answer is tight, or the limit is met."""
    for bits in ladder(_FIRST_BITS, limit):
        with working_precision(bits):
            balls = formula(point, alpha, sigma)
            if is_tight(balls):
                return PointAnswer(balls, bits, "")
    return PointAnswer(balls, bits, f"not tight at max_precision of {bits} bits; raise max_precision")
