"""What the table needs of a family: its problems, its float64 law, its truth, and what rounding costs it."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Parameters: TypeAlias = Mapping[str, Array]
"""The numbers that define a law, by name."""

Answers: TypeAlias = Mapping[str, Array]
"""Quantities at B points, by name."""

Kind: TypeAlias = Literal["place", "length", "variance", "share"]
"""How a parameter changes when the data are scaled and moved: shares do not, only places move."""

QUANTITIES = (
    "log_density",
    "score",
    "posterior_mean",
    "posterior_covariance",
    "posterior_second_moment",
    "fisher",
    "fisher_vector_product",
    "fisher_trace",
)
MATRICES = ("posterior_covariance", "fisher")

MATRIX_WORK = 5_000_000
"""Matrices are compared where ``d * d * components`` is at most this: a proven one takes a second then."""

MOST_REMEMBERED = 8
"""Posteriors of one law kept at a time: one per point, for Diracs."""

UNIT_ROUNDOFF = 2.0**-53


@dataclasses.dataclass(frozen=True, eq=False)
class Points:
    """Points at one noise level: ``x`` and ``v`` (B, d), with what is special about each."""

    x: Array
    v: Array
    alpha: Array  # ()
    sigma: Array  # ()
    places: tuple[str, ...]

    def rounded(self, rounder: "RandomRounder") -> "Points":
        """Return the points with every number rounded at random."""
        changed: dict[str, Any] = {name: rounder(getattr(self, name)) for name in ("x", "v", "alpha", "sigma")}
        return dataclasses.replace(self, **changed)


@dataclasses.dataclass(frozen=True, eq=False)
class Size:
    """How large a problem is."""

    dimension: int
    components: int = 1  # atoms, or components of a mixture

    @property
    def matrices(self) -> bool:
        """Whether matrices are compared."""
        return self.dimension**2 * self.components <= MATRIX_WORK

    def __str__(self) -> str:
        return f"d={self.dimension}" + (f", N={self.components}" if self.components > 1 else "")


@dataclasses.dataclass(frozen=True, eq=False)
class Family:
    """One row of the table."""

    name: str
    law: Callable[[Parameters], Any]
    """The float64 subject: a ``Distribution``, or what has some of its methods."""
    kinds: Mapping[str, Kind]
    """Its parameters."""
    draw: Callable[[np.random.Generator, Size], dict[str, Array]]
    """Parameters of size about 1."""
    places: Callable[[np.random.Generator, Parameters, float, float], Mapping[str, Array]]
    """Points (d,) where something could go wrong, at alpha and sigma, by what they are called."""
    truth: Callable[[Parameters, Points, bool], Answers]
    """The quantities to more digits than float64 has; the matrices only if the flag is set."""
    spread: Callable[[Parameters, Points, Answers, np.random.Generator], Answers]
    """What random roundings to float64 move each of the true answers by, (B,): the largest of several."""
    sizes: tuple[Size, ...]
    quantities: tuple[str, ...] = QUANTITIES

    def moved(self, parameters: Parameters, scale: float, offset: float) -> dict[str, Array]:
        """Return the parameters of the same law after ``y -> scale y + offset``, in every coordinate."""
        factors = {"place": scale, "length": scale, "variance": scale**2, "share": 1.0}
        return {
            name: np.asarray(value * factors[self.kinds[name]] + (offset if self.kinds[name] == "place" else 0.0))
            for name, value in parameters.items()
        }


class RandomRounder:
    """Rounds at random: changes each number by up to ``unit`` of itself, in the dtype that it has."""

    def __init__(self, rng: np.random.Generator, unit: float = UNIT_ROUNDOFF) -> None:
        self._rng = rng
        self._unit = unit

    def __call__(self, values: Array) -> Array:
        """Return the changed numbers."""
        return self._changed(np.asarray(values), self._rng.uniform(-1, 1, np.shape(values)))

    def symmetric(self, matrices: Array) -> Array:
        """Return changed symmetric matrices, symmetric again."""
        change = self._rng.uniform(-1, 1, matrices.shape)
        return self._changed(matrices, np.tril(change) + np.tril(change, -1).swapaxes(-1, -2))

    def _changed(self, values: Array, change: Array) -> Array:
        return np.asarray(values * (1 + (self._unit * change).astype(values.dtype)))


def norms(values: Array) -> Array:
    """Return the norm of each point's answer, shape (B,)."""
    flat = np.reshape(values, (len(values), -1))
    return np.asarray(np.sqrt((flat * flat).sum(axis=1)))


def answers_of(law: Any, names: tuple[str, ...], points: Points) -> dict[str, Array]:
    """Return the named quantities of a law at the points."""
    remember_posterior(law)
    answers = {}
    for name in names:
        direction = (points.v,) if name == "fisher_vector_product" else ()
        answers[name] = np.asarray(getattr(law, name)(points.x, *direction, points.alpha, points.sigma))
    return answers


def remember_posterior(law: Any) -> None:
    """Let one posterior serve all quantities of a law at a point: the same arithmetic in a fraction of the time.

    What is rounded at random on the way is then rounded once for all of them.
    """
    for name in ("posterior", "_posterior"):
        original = getattr(law, name, None)
        if original is not None:
            object.__setattr__(law, name, _Remembered(original))


class _Remembered:
    """A method that remembers what it returned for the last few arguments."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self._method = method
        self._known: dict[tuple[bytes, ...], Any] = {}

    def __call__(self, *arguments: Array) -> Any:
        key = tuple(np.asarray(argument).tobytes() for argument in arguments)
        if key not in self._known:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[key] = self._method(*arguments)
        return self._known[key]


def compared(family: Family, size: Size) -> tuple[str, ...]:
    """Return the names of the quantities that are compared at a size."""
    return tuple(name for name in family.quantities if size.matrices or name not in MATRICES)
