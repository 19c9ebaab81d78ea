"""The interface of the certified oracles, and the search for a precision that is enough."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

from flint import arb, arb_mat

from afi_reference.certified.exact import as_exact_array, exact_matrix, exact_number
from afi_reference.certified.precision import is_tight, ladder, working_precision
from afi_reference.certified.result import Certified, PointAnswer, certify
from afi_reference.certified.validation import as_batch, as_limits
from afi_reference.distribution import Array, Noise, as_noise_levels

# What is_tight asks for, and what the rounding of a few thousand additions takes.
_BASE_BITS = 160
_WORD = 64


class InconclusiveError(ArithmeticError):
    """The balls are too wide to go on: try again with a higher precision."""


class Posterior(Protocol):
    """Everything about one point at one noise level, enclosed at the precision in force."""

    def log_density(self) -> arb:
        """Return the log density, in nats."""
        ...

    def score(self) -> arb_mat:
        """Return the score, shape (1, d)."""
        ...

    def mean(self) -> arb_mat:
        """Return the posterior mean, shape (1, d)."""
        ...

    def covariance(self) -> arb_mat:
        """Return the posterior covariance, shape (d, d)."""
        ...

    def second_moment(self) -> arb:
        """Return the posterior mean of ``|x_0|^2``."""
        ...

    def fisher(self) -> arb_mat:
        """Return the Fisher information, shape (d, d)."""
        ...

    def fisher_times(self, v: arb_mat) -> arb_mat:
        """Return the Fisher information times ``v`` (d, 1), shape (1, d)."""
        ...

    def fisher_trace(self) -> arb:
        """Return the trace of the Fisher information."""
        ...


_Quantity: TypeAlias = Callable[[Posterior, arb_mat | None], Sequence[arb]]


class CertifiedOracle(ABC):
    """What the certified oracles share: see ``CertifiedDiracMixture`` for the contract of the methods."""

    def __init__(self, dimension: int, max_precision: int, time_limit: float | None) -> None:
        self._dimension = dimension
        self._max_precision, self._time_limit = as_limits(max_precision, time_limit)

    @property
    def dimension(self) -> int:
        """The dimension d of a data point."""
        return self._dimension

    @abstractmethod
    def _posterior(self, x: arb_mat, alpha: arb, sigma: arb) -> Posterior:
        """Enclose the posterior of the point ``x`` (d, 1) at the precision in force."""

    @abstractmethod
    def _lost_bits(self, x: Array, alpha: Any, sigma: Any) -> float:
        """Estimate how many bits the evaluation at ``x`` (d,) loses: a guess to start from, no more."""

    def log_density(self, x: Any, alpha: Noise, sigma: Noise) -> Certified:
        """Enclose ``log q_t(x)`` in nats, shape (B,), or () for one point (eq. 26 and 34)."""
        return self._certify(lambda p, _: [p.log_density()], 0, x, alpha, sigma)

    def score(self, x: Any, alpha: Noise, sigma: Noise) -> Certified:
        """Enclose the gradient of the log density, the shape of ``x`` (eq. 27 and 35)."""
        return self._certify(lambda p, _: p.score().entries(), 1, x, alpha, sigma)

    def posterior_mean(self, x: Any, alpha: Noise, sigma: Noise) -> Certified:
        """Enclose ``E[x_0 | x_t = x]``, the shape of ``x`` (Prop. 2 and 4)."""
        return self._certify(lambda p, _: p.mean().entries(), 1, x, alpha, sigma)

    def posterior_covariance(self, x: Any, alpha: Noise, sigma: Noise) -> Certified:
        """Enclose ``Cov[x_0 | x_t = x]``, shape (B, d, d), or (d, d) for one point."""
        return self._certify(lambda p, _: _symmetric(p.covariance()), 2, x, alpha, sigma)

    def posterior_second_moment(self, x: Any, alpha: Noise, sigma: Noise) -> Certified:
        """Enclose ``E[|x_0|^2 | x_t = x]``, shape (B,), or () for one point (Prop. 6)."""
        return self._certify(lambda p, _: [p.second_moment()], 0, x, alpha, sigma)

    def fisher(self, x: Any, alpha: Noise, sigma: Noise) -> Certified:
        """Enclose ``-Hessian of log q_t``, shape (B, d, d), or (d, d) for one point (Prop. 1 and 3)."""
        return self._certify(lambda p, _: _symmetric(p.fisher()), 2, x, alpha, sigma)

    def fisher_vector_product(self, x: Any, v: Any, alpha: Noise, sigma: Noise) -> Certified:
        """Enclose the Fisher information times ``v``; ``v`` and the result have the shape of ``x``."""
        return self._certify(lambda p, v: p.fisher_times(_given(v)).entries(), 1, x, alpha, sigma, v)

    def fisher_trace(self, x: Any, alpha: Noise, sigma: Noise) -> Certified:
        """Enclose the trace of the Fisher information, shape (B,), or () for one point (Prop. 5)."""
        return self._certify(lambda p, _: [p.fisher_trace()], 0, x, alpha, sigma)

    def _certify(self, quantity: _Quantity, order: int, x: Any, alpha: Any, sigma: Any, v: Any = None) -> Certified:
        """Enclose a tensor of ``order`` indices at every point of the batch.

        Raises
        ------
        ValueError
            If ``x``, ``v``, ``alpha`` or ``sigma`` have the wrong shape or are not finite and positive.
        """
        points, single = as_batch(x, self._dimension, "x")
        batch = len(points)
        alphas, sigmas = as_noise_levels(as_exact_array(alpha, "alpha"), as_exact_array(sigma, "sigma"), batch)
        directions = None if v is None else as_batch(v, self._dimension, "v")[0]
        if directions is not None and directions.shape != points.shape:
            raise ValueError(f"v must have as many rows as x: {batch}; got {len(directions)}.")
        deadline = time.monotonic() + self._time_limit
        answers = []
        for i, (point, a, s) in enumerate(zip(points, alphas, sigmas, strict=True)):
            direction = None if directions is None else exact_matrix(directions[i][:, None])
            lost = self._lost_bits(point, a, s)
            first = _WORD * (1 + int(_BASE_BITS + min(max(lost, 0.0), self._max_precision)) // _WORD)
            column, level = exact_matrix(point[:, None]), (exact_number(a), exact_number(s))
            answers.append(self._search(quantity, (column, *level), direction, self._dimension**order, first, deadline))
        tail = (self._dimension,) * order
        return certify(answers, tail if single else (batch, *tail))

    def _search(
        self,
        quantity: _Quantity,
        point: tuple[arb_mat, arb, arb],
        v: arb_mat | None,
        size: int,
        first: int,
        deadline: float,
    ) -> PointAnswer:
        """Raise the precision until the answer is tight, or a limit is met."""
        balls: Sequence[arb] = [arb.nan()] * size
        reached = 0
        for bits in ladder(first, self._max_precision):
            if time.monotonic() > deadline:
                reason = f"time_limit of {self._time_limit} s reached at {reached} bits; raise time_limit"
                return PointAnswer(balls, reached, reason)
            with working_precision(bits):
                try:
                    balls = quantity(self._posterior(*point), v)
                except (InconclusiveError, ZeroDivisionError):
                    # ZeroDivisionError: python-flint could not prove a matrix invertible.
                    continue
                finally:
                    reached = bits
                if is_tight(balls):
                    return PointAnswer(balls, bits, "")
        return PointAnswer(balls, reached, f"not tight at max_precision of {reached} bits; raise max_precision")


def _given(v: arb_mat | None) -> arb_mat:
    if v is None:
        raise TypeError("a direction v is needed: fisher_vector_product(x, v, alpha, sigma).")
    return v


def _symmetric(matrix: arb_mat) -> list[arb]:
    """Return the entries in C order, the upper triangle standing for both, so that they round alike."""
    d = matrix.nrows()
    return [matrix[min(i, j), max(i, j)] for i in range(d) for j in range(d)]
