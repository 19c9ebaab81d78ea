"""The law of a density that is given pointwise, in one or two dimensions, by adaptive quadrature."""

import dataclasses
from collections.abc import Callable

import numpy as np

from afi_reference.distribution import Array, Noise, as_float_array, as_noise_levels, as_points
from afi_reference.families.density_posterior import Estimate, PointPosterior, posterior_at_point, total_mass
from afi_reference.families.law import Law, Posterior, as_directions, widened


class _Posteriors(Posterior):
    def __init__(self, points: list[PointPosterior]) -> None:
        self._points = points

    def log_density(self) -> Array:
        return np.stack([p.log_density().value for p in self._points])

    def score(self) -> Array:
        return np.stack([p.score().value for p in self._points])

    def mean(self) -> Array:
        return np.stack([p.posterior_mean().value for p in self._points])

    def covariance(self) -> Array:
        return np.stack([p.posterior_covariance().value for p in self._points])

    def covariance_trace(self) -> Array:
        return np.trace(self.covariance(), axis1=1, axis2=2)

    def fisher(self) -> Array:
        return np.stack([p.fisher().value for p in self._points])

    def fisher_vector_product(self, v: Array) -> Array:
        return np.stack([p.fisher_vector_product(row).value for p, row in zip(self._points, v, strict=True)])

    def fisher_trace(self) -> Array:
        return np.stack([p.fisher_trace().value for p in self._points])


@dataclasses.dataclass(frozen=True, eq=False)
class DensityOracle(Law):
    """Any density in one or two dimensions as a :class:`~afi_reference.distribution.Distribution`.

    The law is the density cut to the bounds and divided by its integral there. Accuracy: float64, and
    :meth:`with_error` says how much of it. The Fisher information is a difference from ``I / sigma^2``: a
    density known only to its rounding determines it to no more than that, relative to ``1 / sigma^2``.

    Parameters
    ----------
    log_density_of_data
        From points (N, d) to the logarithms (N,) of a density, normalised or not; ``-inf`` where there is none.
    bounds
        Lower and upper bound of each coordinate, shape (d, 2), d = 1 or 2, finite.
    landmarks
        Points (M, d), such as narrow peaks and corners, where the density changes over less than a thousandth
        of the bounds. A grid would miss them, and no error estimate can tell of what was never seen.
    most_cells
        Cells of 21 (d = 1) or 441 (d = 2) nodes per point: memory and time are bounded by them. Where they are not
        enough the error says so, and where they resolve less than 98 % of an integral there is no answer.

    Raises
    ------
    ValueError
        If shapes do not fit, bounds are not finite or not ordered, or the density vanishes, is not a number, or is not
        resolved by ``most_cells``, within them; the last also later, by a quantity at some point.
    """

    log_density_of_data: Callable[[Array], Array]
    bounds: Array
    landmarks: Array | None = None
    most_cells: int = 4000
    _log_mass: Estimate = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not callable(self.log_density_of_data):
            raise ValueError("log_density_of_data must be a function from points (N, d) to logarithms (N,).")
        bounds = as_float_array(self.bounds, "bounds").astype(np.float64)
        if bounds.shape not in ((1, 2), (2, 2)):
            raise ValueError(f"bounds must have shape (d, 2), one row (low, high) per coordinate; got {bounds.shape}.")
        if not (bounds[:, 0] < bounds[:, 1]).all():
            raise ValueError(f"each row of bounds must be (low, high) with low < high; got {bounds.tolist()}.")
        landmarks = np.zeros((0, len(bounds)))
        if self.landmarks is not None:
            landmarks = as_points(self.landmarks, len(bounds), "landmarks").astype(np.float64)
        if ((landmarks < bounds[:, 0]) | (landmarks > bounds[:, 1])).any():
            raise ValueError("landmarks must lie within the bounds.")
        object.__setattr__(self, "bounds", bounds)
        object.__setattr__(self, "landmarks", landmarks)
        object.__setattr__(self, "_log_mass", total_mass(self._log_density_at, bounds, landmarks, self.most_cells))

    @classmethod
    def from_density(
        cls,
        density: Callable[[Array], Array],
        bounds: Array,
        landmarks: Array | None = None,
        most_cells: int = 4000,
    ) -> "DensityOracle":
        """Return the oracle of a density that is given itself, not by its logarithm."""

        def log_density(points: Array) -> Array:
            with np.errstate(divide="ignore"):
                return np.log(density(points))

        return cls(log_density, bounds, landmarks, most_cells)

    @property
    def dimension(self) -> int:
        """The dimension d of a data point."""
        return len(self.bounds)

    def with_error(
        self, quantity: str, x: Array, alpha: Noise, sigma: Noise, v: Array | None = None
    ) -> tuple[Array, Array]:
        """Return a quantity and a bound on the error of each of its entries.

        The bound holds the difference of two rules in every cell, which for the better of the two is far too
        much, and the rounding of the density's values and of its arguments. It knows of no feature of the
        density that fell between the nodes.

        Parameters
        ----------
        quantity
            The name of a method of :class:`~afi_reference.distribution.Distribution`.
        v
            The directions of a ``fisher_vector_product``, shape (B, d).

        Returns
        -------
        value, error
            Of the shape that the method returns.

        Raises
        ------
        ValueError
            If there is no such quantity, or ``v`` is missing.
        """
        names = [n for n in vars(PointPosterior) if not n.startswith("_") and callable(getattr(PointPosterior, n))]
        if quantity not in names:
            raise ValueError(f"quantity must be one of {', '.join(sorted(names))}; got {quantity!r}.")
        points = as_points(x, self.dimension)
        alphas, sigmas = as_noise_levels(alpha, sigma, len(points))
        others: list[tuple[Array, ...]] = [()] * len(points)
        if quantity == "fisher_vector_product":
            if v is None:
                raise ValueError("fisher_vector_product needs the directions v, shape (B, d).")
            others = [(row,) for row in as_directions(v, points, self.dimension)]
        estimates: list[Estimate] = [
            getattr(self._posterior_at(widened(point), widened(a), widened(s)), quantity)(*other)
            for point, a, s, other in zip(points, alphas, sigmas, others, strict=True)
        ]
        return np.stack([e.value for e in estimates]), np.stack([e.error for e in estimates])

    def posterior(self, x: Array, alpha: Array, sigma: Array) -> Posterior:
        """Return the posterior at longdouble ``x`` (n, d)."""
        return _Posteriors([self._posterior_at(point, alpha, sigma) for point in x])

    def _posterior_at(self, x: Array, alpha: Array, sigma: Array) -> PointPosterior:
        landmarks = np.asarray(self.landmarks)
        return posterior_at_point(
            self._log_density_at, self.bounds, landmarks, self.most_cells, self._log_mass, x, alpha, sigma
        )

    def _log_density_at(self, points: Array) -> Array:
        values = np.asarray(self.log_density_of_data(points), dtype=np.float64)
        if values.shape != (len(points),):
            raise ValueError(f"the density must return shape ({len(points)},), one per point; got {values.shape}.")
        if np.isnan(values).any() or (values == np.inf).any():
            bad = points[np.isnan(values) | (values == np.inf)][0]
            raise ValueError(f"the density is infinite, negative or not a number at {bad.tolist()}.")
        return values

    def _parameters(self) -> tuple[Array, ...]:
        return (self.bounds,)
