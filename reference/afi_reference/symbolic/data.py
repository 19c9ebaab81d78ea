r"""The data and their diffusion: the definition from which everything else is derived.

``q_t(x) = sum_i w_i N(x; alpha y_i, sigma^2 I)``, or the integral of the same kernel against a density. Both
are a linear functional of the kernel, so one class serves both and each proof is written once.

A few coordinates stand for all of them. Coordinates that a derivation does not differentiate by enter the
kernel as one factor, which depends on the data point alone; it is absorbed into the mass (the weight ``w_i``
or the density ``rho``), about which nothing is assumed, not even that it sums to 1.
"""

from collections.abc import Callable
from dataclasses import dataclass

import sympy
from sympy import Expr, ImmutableMatrix

from afi_reference.symbolic.algebra import gradient

ALPHA, SIGMA = sympy.symbols("alpha sigma", positive=True)
N = sympy.Symbol("N", integer=True, positive=True)
INDEX = sympy.Symbol("i", integer=True)
WEIGHT = sympy.IndexedBase("w")
ATOM = sympy.IndexedBase("y")

ANY_DIMENSION = "any d (two coordinates stand for all, the others are absorbed into the mass)"
ANY_DIRACS = "any number of Diracs with any weights"
ANY_DENSITY = "any initial distribution (an undetermined density; derivatives pass under the integral)"


def coordinates(d: int) -> tuple[Expr, ...]:
    """Return the coordinates of the point ``x_t``.

    Parameters
    ----------
    d : int
        How many.

    Returns
    -------
    tuple of Expr
        The symbols ``x_1`` to ``x_d``.
    """
    return tuple(sympy.symbols(f"x_1:{d + 1}", real=True))


def kernel(x: tuple[Expr, ...], y: tuple[Expr, ...], alpha: Expr, sigma: Expr) -> Expr:
    """Return ``v`` of Prop. 1 and 3, the transition kernel without its normalisation.

    Parameters
    ----------
    x, y : tuple of Expr
        The noisy point and the data point.
    alpha, sigma : Expr
        The noise level.

    Returns
    -------
    Expr
        ``exp(-|x - alpha y|^2 / (2 sigma^2))``.
    """
    squared_distance = sum(((a - alpha * b) ** 2 for a, b in zip(x, y, strict=True)), sympy.S.Zero)
    return sympy.exp(-squared_distance / (2 * sigma**2))


def normalisation(d: int, sigma: Expr) -> Expr:
    """Return the factor that makes the kernel a density.

    Parameters
    ----------
    d : int
        The dimension.
    sigma : Expr
        The standard deviation of the noise.

    Returns
    -------
    Expr
        ``(2 pi sigma^2)^(-d/2)``.
    """
    return (sympy.sqrt(2 * sympy.pi) * sigma) ** (-d)


@dataclass(frozen=True)
class Data:
    """An initial distribution, seen at one noise level.

    Attributes
    ----------
    y : tuple of Expr
        The coordinates of a data point.
    mass : Expr
        Its weight, or the density there.
    total : callable
        Sums or integrates an expression in ``y`` over the data.
    alpha, sigma : Expr
        The noise level: symbols, or functions of time.
    """

    y: tuple[Expr, ...]
    mass: Expr
    total: Callable[[Expr], Expr]
    alpha: Expr = ALPHA
    sigma: Expr = SIGMA

    @property
    def x(self) -> tuple[Expr, ...]:
        """The coordinates of the noisy point.

        Returns
        -------
        tuple of Expr
            As many as a data point has.
        """
        return coordinates(len(self.y))

    @property
    def kernel(self) -> Expr:
        """The transition kernel from ``y`` to ``x``, without its normalisation.

        Returns
        -------
        Expr
            ``v(x, t, y)``.
        """
        return kernel(self.x, self.y, self.alpha, self.sigma)

    def density(self) -> Expr:
        """Return the diffused density by its definition.

        Returns
        -------
        Expr
            ``q_t(x)``.
        """
        return self.total(self.mass * normalisation(len(self.y), self.sigma) * self.kernel)

    def score(self) -> ImmutableMatrix:
        """Differentiate the log density.

        Returns
        -------
        ImmutableMatrix
            ``grad log q_t(x)``, a column.
        """
        return gradient(sympy.log(self.density()), self.x)

    def fisher(self) -> ImmutableMatrix:
        """Differentiate the log density twice.

        Returns
        -------
        ImmutableMatrix
            ``-Hessian of log q_t(x)``.
        """
        return ImmutableMatrix(-sympy.hessian(sympy.log(self.density()), self.x))

    def expectation(self, value: Expr, kernel_power: int = 1) -> Expr:
        """Average a function of the data point with the weights ``w`` of Prop. 1 and 3 (Bayes' rule).

        Parameters
        ----------
        value : Expr
            A function of ``y``.
        kernel_power : int
            1 for the posterior; 0 would forget the kernel.

        Returns
        -------
        Expr
            ``E[value | x_t = x]``.
        """
        weight = self.mass * self.kernel**kernel_power
        return self.total(weight * value) / self.total(weight)

    def mean(self) -> ImmutableMatrix:
        """Average the data point with the posterior weights.

        Returns
        -------
        ImmutableMatrix
            ``E[x_0 | x_t = x]``, a column.
        """
        return ImmutableMatrix([self.expectation(coordinate) for coordinate in self.y])

    def covariance(self, outer: int = 1) -> ImmutableMatrix:
        """Return the bracket of eq. 11 and 13.

        Parameters
        ----------
        outer : int
            The factor of the outer product of the mean; 1 for the covariance.

        Returns
        -------
        ImmutableMatrix
            ``E[x_0 x_0^T | x] - outer * mean mean^T``.
        """
        d, mean = len(self.y), self.mean()
        second = ImmutableMatrix(d, d, lambda a, b: self.expectation(self.y[a] * self.y[b]))
        return second - outer * mean * mean.T

    def noise(self) -> ImmutableMatrix:
        """Average the noise ``(x - alpha x_0) / sigma`` with the posterior weights.

        Returns
        -------
        ImmutableMatrix
            The optimal noise prediction, a column.
        """
        entries = zip(self.x, self.y, strict=True)
        return ImmutableMatrix([self.expectation((a - self.alpha * b) / self.sigma) for a, b in entries])


def diracs(d: int = 2, alpha: Expr = ALPHA, sigma: Expr = SIGMA) -> Data:
    """Return N weighted atoms (eq. 10).

    Parameters
    ----------
    d : int
        How many coordinates are written out.
    alpha, sigma : Expr
        The noise level.

    Returns
    -------
    Data
        Atoms ``y[i, 1], ..., y[i, d]`` with weights ``w[i]``.
    """
    y = tuple(ATOM[INDEX, k] for k in range(1, d + 1))
    return Data(y, WEIGHT[INDEX], lambda body: sympy.Sum(body, (INDEX, 1, N)), alpha, sigma)


def general(d: int = 2, alpha: Expr = ALPHA, sigma: Expr = SIGMA) -> Data:
    """Return an initial distribution with an undetermined density (eq. 12).

    Parameters
    ----------
    d : int
        How many coordinates are written out.
    alpha, sigma : Expr
        The noise level.

    Returns
    -------
    Data
        A density ``rho(y_1, ..., y_d)``.
    """
    y = tuple(sympy.symbols(f"y_1:{d + 1}", real=True))
    limits = [(coordinate, -sympy.oo, sympy.oo) for coordinate in y]
    rho = sympy.Function("rho", nonnegative=True)(*y)
    return Data(y, rho, lambda body: sympy.Integral(body, *limits), alpha, sigma)
