"""The map of the probability-flow ODE and its Jacobian as proven enclosures: Taylor's method in ball arithmetic."""

import functools
import itertools
import math
from typing import Any, NamedTuple, TypeAlias

from flint import arb

from afi_reference.certified.exact import as_exact_array, exact_numbers
from afi_reference.certified.precision import is_tight, ladder, working_precision
from afi_reference.certified.result import Certified, PointAnswer, certify
from afi_reference.certified.validation import as_rows, as_weights, merge_duplicates
from afi_reference.distribution import Array, as_points

Series: TypeAlias = list[arb]
Vector: TypeAlias = list[arb]
Matrix: TypeAlias = list[list[arb]]

# Terms of the series per bit of the working precision, and the step in units of the distance at which the
# series could cease to converge: with both, the remainder stays below the rounding.
_FIRST_BITS = 192
_BITS_PER_TERM = 6
_STEP = 0.125


class CertifiedTransport(NamedTuple):
    """What :func:`enclose_transport` proves."""

    point: Certified  # (B, d): x_end
    jacobian: Certified  # (B, d, d): d x_end / d x_start


def enclose_transport(
    x: Any,
    atoms: Any,
    start: tuple[float, float],
    end: tuple[float, float],
    weights: Any = None,
    *,
    max_precision: int = 1024,
) -> CertifiedTransport:
    """Enclose where the flow of diffused Diracs takes ``x``, and the Jacobian of that (eq. 21 and 53).

    In the coordinates ``n = x / sigma`` and ``a = alpha / sigma`` the flow is ``dn/da = m`` and its linearisation
    ``dM/da = a Cov M``, with the posterior mean m and covariance; m stays within the box of the atoms, which bounds a
    step's solution before it is known. Taylor coefficients of the solution are enclosed term by term, and the
    remainder (Lagrange) by the next coefficient over that bound. Meant for a few atoms in a few dimensions: the time
    grows with the log-SNR covered and with distances in units of the noise.

    Parameters
    ----------
    x
        Points, shape (B, d).
    atoms
        Shape (N, d).
    start, end
        ``(alpha, sigma)`` where ``x`` is and where it goes; floats, taken as exact.
    weights
        Shape (N,), summing to 1 within 1e-6; uniform if None.
    max_precision
        The largest number of bits to try.

    Returns
    -------
    CertifiedTransport
        Undecided where the largest precision did not do.

    Raises
    ------
    ValueError
        If a shape does not fit, a number is not finite, or alpha or sigma is not positive.
    """
    rows = as_rows(atoms, "atoms")
    points = as_exact_array(as_points(x, rows.shape[1]), "x")
    distinct, mass = merge_duplicates(rows, as_weights(weights, len(rows)))
    for name, level in (("start", start), ("end", end)):
        if not all(0 < scale < math.inf for scale in level):
            raise ValueError(f"{name} must be (alpha, sigma) with both positive and finite, not {level}.")
    answers = [_enclose_point(point, distinct, mass, start, end, max_precision) for point in points]
    d = rows.shape[1]
    return CertifiedTransport(
        certify([answer[0] for answer in answers], (len(points), d)),
        certify([answer[1] for answer in answers], (len(points), d, d)),
    )


def _enclose_point(
    x: Array, atoms: Array, mass: list[arb], start: tuple[float, float], end: tuple[float, float], most: int
) -> tuple[PointAnswer, PointAnswer]:
    for bits in ladder(_FIRST_BITS, most):
        with working_precision(bits):
            flow = _Flow(atoms, mass, bits // _BITS_PER_TERM)
            (alpha, sigma), (alpha_end, sigma_end) = ([arb(scale) for scale in level] for level in (start, end))
            n, matrix = flow.follow([entry / sigma for entry in exact_numbers(x)], alpha / sigma, alpha_end / sigma_end)
            point = [sigma_end * entry for entry in n]
            jacobian = [sigma_end / sigma * entry for row in matrix for entry in row]
        if is_tight(point) and is_tight(jacobian):
            return PointAnswer(point, bits, ""), PointAnswer(jacobian, bits, "")
    reason = f"{most} bits do not determine it; ask for a shorter way or raise max_precision"
    return PointAnswer(point, bits, reason), PointAnswer(jacobian, bits, reason)


class _Flow:
    """``dn/da = m(n, a)`` and ``dM/da = a Cov(n, a) M`` with one atom moved to the origin."""

    def __init__(self, atoms: Array, mass: list[arb], order: int) -> None:
        rows = [exact_numbers(row) for row in atoms]
        self._origin = rows[0]
        self._atoms = [[entry - o for entry, o in zip(row, self._origin, strict=True)] for row in rows]
        self._squares = [sum((y * y for y in row), arb(0)) for row in self._atoms]
        self._logs = [(weight / mass[0]).log() for weight in mass]
        self._order = order
        # The box of the atoms, which holds every posterior mean; and a bound of every posterior second moment.
        self._box = [functools.reduce(arb.union, column) for column in zip(*self._atoms, strict=True)]
        self._square = sum((side.abs_upper() ** 2 for side in self._box), arb(0))

    def follow(self, n: Vector, a: arb, end: arb) -> tuple[Vector, Matrix]:
        """Return n and M at ``end``, from n and M = I at ``a``."""
        d = len(n)
        n = [entry - a * o for entry, o in zip(n, self._origin, strict=True)]
        matrix = [[arb(int(i == j)) for j in range(d)] for i in range(d)]
        radius = math.sqrt(float(self._square)) if float(self._square) > 0 else 0.0
        while True:
            left = float((end - a).mid())
            size = max(abs(float(entry.mid())) for entry in n)
            rate = radius * (size + radius * (float(a.mid()) + 1)) + radius
            last = abs(left) * rate <= _STEP
            h = end - a if last else arb(math.copysign(_STEP / rate, left))
            n, matrix = self._step(n, matrix, a, h)
            # Balls that have burst say nothing, however many steps follow.
            burst = not all(entry.is_finite() and entry.rad() < 1 for entry in n)
            if last or burst:
                if burst:
                    n, matrix = [arb(0, math.inf)] * d, [[arb(0, math.inf)] * d] * d
                return [entry + end * o for entry, o in zip(n, self._origin, strict=True)], matrix
            a += h

    def _step(self, n: Vector, matrix: Matrix, a: arb, h: arb) -> tuple[Vector, Matrix]:
        """One step of Taylor's method: the series at its start, the remainder over all of it."""
        way = h * arb(0.5, 0.5)
        everywhere = a + way
        # |M' | <= a |Cov| |M|, so that M moves by less than |M| (exp(a |Cov| |h|) - 1).
        norm = sum((entry * entry for row in matrix for entry in row), arb(0)).sqrt()
        growth = norm * ((everywhere * self._square * way).abs_upper().exp() - 1) * arb(0, 1)
        inside = [entry + way * side for entry, side in zip(n, self._box, strict=True)]
        around = [[entry + growth for entry in row] for row in matrix]
        points, matrices = self._series(n, matrix, a, self._order)
        rest_points, rest_matrices = self._series(inside, around, everywhere, self._order)

        def value(series: list[arb], rest: list[arb]) -> arb:
            total = rest[-1]
            for coefficient in reversed(series[:-1]):
                total = total * h + coefficient
            return total

        return (
            [value(*pair) for pair in zip(points, rest_points, strict=True)],
            [[value(*pair) for pair in zip(*rows, strict=True)] for rows in zip(matrices, rest_matrices, strict=True)],
        )

    def _series(self, n: Vector, matrix: Matrix, a: arb, order: int) -> tuple[list[Series], list[list[Series]]]:
        """Return the Taylor coefficients 0 to ``order`` of the solution through ``n``, ``matrix`` at ``a``."""
        axes, atoms = range(len(n)), self._atoms
        point = [[entry] for entry in n]
        product = [[[entry] for entry in row] for row in matrix]
        projections: list[Series] = [[] for _ in atoms]  # <n, y>
        slopes: list[Series] = [[] for _ in atoms]  # of the logits a <n, y> - a^2 |y|^2 / 2 + log mass
        weights: list[Series] = []
        mean: list[Series] = [[] for _ in axes]
        covariance: list[list[Series]] = [[[] for _ in axes] for _ in axes]
        for k in range(order):
            for i, y in enumerate(atoms):
                projections[i].append(sum((point[j][k] * y[j] for j in axes), arb(0)))
            if k == 0:
                weights = [[w] for w in self._weights([series[0] for series in projections], a)]
            else:
                for i, square in enumerate(self._squares):
                    slope = k * (a * projections[i][k] + projections[i][k - 1])
                    slopes[i].append(slope - square * (a if k == 1 else int(k == 2)))
                # w' = w (slope - mean slope)
                common = [
                    sum((_coefficient(w, s, j) for w, s in zip(weights, slopes, strict=True)), arb(0)) for j in range(k)
                ]
                fresh = [
                    _coefficient(w, [own - shared for own, shared in zip(s, common, strict=True)], k - 1) / k
                    for w, s in zip(weights, slopes, strict=True)
                ]
                for series, weight in zip(weights, fresh, strict=True):
                    series.append(weight)
            for j in axes:
                mean[j].append(sum((w[k] * y[j] for w, y in zip(weights, atoms, strict=True)), arb(0)))
                point[j].append(mean[j][k] / (k + 1))
            for j, m in itertools.product(axes, axes):
                second = sum((w[k] * y[j] * y[m] for w, y in zip(weights, atoms, strict=True)), arb(0))
                covariance[j][m].append(second - _coefficient(mean[j], mean[m], k))
            self._append_next(product, covariance, a, k)
        return point, product

    def _weights(self, projections: Vector, a: arb) -> Vector:
        logits = [
            a * p - a * a * square / 2 + log
            for p, square, log in zip(projections, self._squares, self._logs, strict=True)
        ]
        exponentials = [logit.exp() for logit in logits]
        total = sum(exponentials, arb(0))
        return [exponential / total for exponential in exponentials]

    @staticmethod
    def _append_next(product: list[list[Series]], covariance: list[list[Series]], a: arb, k: int) -> None:
        """Append the coefficient k + 1 of M to ``product``: ``M' = a Cov M``, the time being a plus the step."""
        axes = range(len(product))
        fresh = {
            (j, m): sum(
                (
                    a * _coefficient(covariance[j][i], product[i][m], k)
                    + (_coefficient(covariance[j][i], product[i][m], k - 1) if k else 0)
                    for i in axes
                ),
                arb(0),
            )
            for j, m in itertools.product(axes, axes)
        }
        for (j, m), entry in fresh.items():
            product[j][m].append(entry / (k + 1))


def _coefficient(first: Series, second: Series, k: int) -> arb:
    """Return the coefficient ``k`` of the product of two series."""
    return sum((first[j] * second[k - j] for j in range(k + 1)), arb(0))
