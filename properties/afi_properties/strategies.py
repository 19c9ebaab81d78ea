"""Hypothesis strategies for problems, for use in anybody's tests.

Hypothesis draws the structure (sizes, geometry, noise level, a seed) and NumPy fills in the numbers: arrays of
more than about a thousand numbers cannot be drawn one by one. Every choice is listed simplest first, so that a
counterexample shrinks to few atoms, few dimensions, simple numbers and alpha = sigma = 1/2.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from afi_properties.building import build_problem
from afi_properties.choices import EPS_KINDS, FAMILIES, Choices, choices_from_id, require_version
from afi_properties.estimates import estimate_from_id
from afi_properties.geometry import COVARIANCES, OFFSETS, RADII, WEIGHTS
from afi_properties.noise_levels import (
    LOG_SNR_RANGE,
    SCHEDULES,
    VARIANCE_PRESERVING,
    WHOLE_RANGE,
    log_snr_at,
    reaches,
    telling_range,
)
from afi_properties.problem import Array, Problem
from afi_properties.real_data import noised_from_id
from afi_properties.training import training_from_id
from afi_properties.trajectory_cases import flow_from_id
from afi_properties.transport_cases import transport_from_id
from afi_properties.unknown_data import points_from_id
from afi_reference.schedules import Schedule

SIZES: tuple[tuple[int, int, int], ...] = (
    (1, 1, 1),
    (1, 2, 1),
    (1, 2, 2),
    (1, 3, 2),
    (2, 2, 2),
    (2, 3, 3),
    (3, 2, 1),
    (3, 3, 3),
    (4, 5, 2),
    (3, 8, 16),
    (2, 64, 16),
    (4, 16, 64),
    (2, 32, 256),
    (1, 3, 4096),
    (2, 4, 16384),
)
"""Batch, atoms and dimension. Few of them: compiled backends pay for each new shape."""

# The options of a choice, simplest first. What often leaves nothing to tell by (one atom takes all, a large offset
# drowns the digits) is there, but not as often as the rest.
_GEOMETRIES = ("shared", "collinear", "clustered", "shared", "collinear", "clustered", "duplicated", "noised")
_COVARIANCES = tuple(COVARIANCES)
_OFFSETS = ("0", "1", "0", "1", "0", "1", "100")
_EVERYWHERE = (False, False, False, False, True)  # over the whole noise range, also where alpha or sigma is 1
_SMALL = 10  # numbers in the data: what is found on so few is found at once, and easily read
_PLACES = tuple(sorted((k / 20 for k in range(-20, 21)), key=abs))  # in the range of noise levels


@dataclasses.dataclass(frozen=True)
class Demand:
    """What the implementation under test needs of its problems.

    Attributes
    ----------
    family
        ``"dirac"`` or ``"gaussian-mixture"``.
    weights
        Whether weights may differ from uniform.
    variance_preserving
        Whether ``alpha^2 + sigma^2`` must be 1.
    per_sample_noise
        Whether noise levels may differ within a batch.
    dimension
        The one dimension wanted; any when ``None``.
    largest_dimension
        The largest dimension wanted: an answer of shape (B, d, d) needs one.
    most_atoms
        The largest number of atoms wanted.
    smallest_dimension, fewest_atoms
        What it takes for there to be anything to tell: in one dimension every matrix is symmetric. A ``dimension`` that
        is the only one wanted may be smaller.
    eps_kinds
        What may play epsilon; see :class:`~afi_properties.problem.Problem`.
    """

    family: str = "dirac"
    weights: bool = True
    variance_preserving: bool = False
    per_sample_noise: bool = False
    dimension: int | None = None
    largest_dimension: int = 16384
    most_atoms: int = 64
    smallest_dimension: int = 1
    fewest_atoms: int = 1
    eps_kinds: tuple[str, ...] = ("exact",)

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"family {self.family!r} is not known; choose one of: {', '.join(FAMILIES)}.")
        for name in ("dimension", "largest_dimension", "most_atoms"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{name} must be a whole number from 1; got {value!r}.")
        unknown = [kind for kind in self.eps_kinds if kind not in EPS_KINDS]
        if unknown or not self.eps_kinds:
            raise ValueError(f"eps_kinds must be some of {', '.join(EPS_KINDS)}; got {self.eps_kinds!r}.")

    def sizes(self) -> tuple[tuple[int, int, int], ...]:
        """Sizes that satisfy the demand, simplest first."""
        sizes = [(b, n, d) for b, n, d in SIZES if self.smallest_dimension <= d <= self.largest_dimension]
        if self.dimension is not None:
            sizes = [(b, min(n, 16), self.dimension) for b, n, _ in SIZES]
        if self.family == "gaussian-mixture":  # a covariance costs as much as d atoms, and more
            sizes = [(b, min(n, 4 if d < 64 else 2), d) for b, n, d in sizes]
        sizes = [(b, min(n, self.most_atoms), d) for b, n, d in sizes]
        return tuple(dict.fromkeys((b, n, d) for b, n, d in sizes if n >= self.fewest_atoms))

    def shapes(self) -> tuple[str, ...]:
        """How atoms lie or how wide components are, simplest first; the more telling ones more often."""
        return _COVARIANCES if self.family == "gaussian-mixture" else _GEOMETRIES

    def balances(self) -> tuple[bool, ...]:
        """Whether directions are balanced; a mixture's covariances are of full rank, and need none of it."""
        return (False, True, True, True, True) if self.family == "dirac" else (False,)

    def schedules(self) -> tuple[Schedule, ...]:
        """Schedules of the noise levels, simplest first."""
        return VARIANCE_PRESERVING if self.variance_preserving else SCHEDULES


def problems(demand: Demand | None = None) -> st.SearchStrategy[Problem]:
    """Return a strategy for problems that satisfy ``demand`` (any Dirac problem by default)."""
    return choices_of(demand or Demand()).map(build_problem)


_DTYPES = ("float64", "float32")


def arrays(
    family: str = "dirac",
    *,
    dimension: int | None = None,
    largest_dimension: int = 16,
    most_atoms: int = 64,
    weights: bool = True,
    variance_preserving: bool = False,
    dtype: str = "float64",
) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for the arguments of a function under test, as a plain dictionary.

    Its keys are ``x`` and ``v``, points and directions of shape (B, d); ``alpha`` and ``sigma``, floats; and ``data``
    (N, d), or ``means`` (K, d) and ``covariances`` (K, d, d), with ``weights`` (N,) or (K,).

    Parameters
    ----------
    family
        ``"dirac"`` or ``"gaussian-mixture"``.
    dimension
        The one dimension d wanted; any up to ``largest_dimension`` when ``None``.
    largest_dimension, most_atoms
        The largest d and N.
    weights
        Whether weights may differ.
    variance_preserving
        Whether ``alpha^2 + sigma^2`` must be 1.
    dtype
        Of the arrays, ``"float64"`` or ``"float32"``.

    Raises
    ------
    ValueError
        If an argument is unusable.
    """
    if dtype not in _DTYPES:
        raise ValueError(f"dtype must be one of: {', '.join(_DTYPES)}; got {dtype!r}. Cast the arrays yourself.")
    demand = Demand(
        family=family,
        dimension=dimension,
        largest_dimension=largest_dimension,
        most_atoms=most_atoms,
        weights=weights,
        variance_preserving=variance_preserving,
    )
    return problems(demand).map(lambda problem: _arguments(problem, dtype))


def _arguments(problem: Problem, dtype: str) -> dict[str, Any]:
    numbers: dict[str, Any] = {name: float(problem.values[name][0]) for name in ("alpha", "sigma")}
    names = ("x", "v", "data", "means", "covariances", "weights")
    return numbers | {name: problem.values[name].astype(dtype) for name in names if name in problem.values}


def choices_of(demand: Demand) -> st.SearchStrategy[Choices]:
    """Return a strategy for the choices of which problems that satisfy ``demand`` are built."""
    return st.builds(
        _choose,
        demand=st.just(demand),
        sizes=_one_of(demand.sizes()),
        radius=_one_of(tuple(RADII)),
        offset=_one_of(_OFFSETS),
        weights=_one_of(WEIGHTS if demand.weights else WEIGHTS[:1]),
        schedule=_one_of(demand.schedules()),
        place=_one_of(_PLACES),
        everywhere=_one_of(_EVERYWHERE),
        spread=_one_of((False, True, True)) if demand.per_sample_noise else st.just(False),
        fine=st.booleans(),
        strided=st.booleans(),
        balanced=_one_of(demand.balances()),
        seed=_one_of(range(2**16)),
        eps_kind=_one_of(demand.eps_kinds),
        shape=_one_of(demand.shapes()),
    )


def problem_from_id(text: str, data: Array | None = None, weights: Array | None = None) -> Problem:
    """Return the problem with the id ``text``, the same numbers as in the run that printed it.

    Parameters
    ----------
    text
        The id of a case: ``Problem.id``, or what is shown beside a counterexample.
    data, weights
        Atoms (N, d) and their weights (N,), for a case on data of your own.

    Raises
    ------
    ValueError
        If the id is of another version, of other data, or no id; the message says which part is not understood.
    """
    require_version(text)
    kind = text.split("_")[1]
    if kind in FAMILIES:
        return build_problem(choices_from_id(text))
    if kind in _FROM_ID:
        return _FROM_ID[kind](text)
    return points_from_id(text, data) if kind == "points" else noised_from_id(text, data, weights)


_FROM_ID = {
    "flow": flow_from_id,
    "skewflow": flow_from_id,
    "transport": transport_from_id,
    "estimate": estimate_from_id,
    "training": training_from_id,
}


def _choose(demand: Demand, place: float, everywhere: bool, schedule: Schedule, **choices: Any) -> Choices:
    _, _, dimension = choices["sizes"]
    radius, offset = RADII[choices["radius"]](dimension), OFFSETS[choices["offset"]]
    ends = LOG_SNR_RANGE if everywhere else telling_range(schedule, dimension, radius, offset)  # type: ignore[arg-type]
    log_snr = log_snr_at(place, ends)
    if not reaches(schedule, log_snr):
        schedule = WHOLE_RANGE
    return Choices(family=demand.family, schedule=schedule.name, log_snr=log_snr, **choices)


def _one_of(options: Sequence[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for one of ``options`` that shrinks to the first.

    Made of booleans: into the integers that it draws Hypothesis mixes constants of whatever modules are loaded
    (and writes a folder of them), but cases must depend on the seed alone.
    """
    bits = max(8, (len(options) - 1).bit_length())  # many more values than options: nearly uniform
    scale = len(options) / 2**bits  # monotonic, so that fewer bits mean a simpler option
    values = [2**k for k in reversed(range(bits))]
    flags = st.tuples(*[st.booleans()] * bits)
    return flags.map(lambda drawn: options[int(scale * sum(itertools.compress(values, drawn)))])


def stratified_problems(demand: Demand, rounds: int, seed: int, *, dimension: int | None = None) -> Iterator[Problem]:
    """Yield ``rounds`` problems of each size, small ones first, with every other choice dealt out evenly.

    With ``dimension``, only of the sizes that have it; ``Demand.dimension`` would give other sizes.

    Few random draws leave gaps; here each radius, geometry, offset, schedule and part of the noise range is
    sure to appear about equally often.
    """
    return map(build_problem, stratified_choices(demand, rounds, seed, dimension=dimension))


def stratified_choices(demand: Demand, rounds: int, seed: int, *, dimension: int | None = None) -> Iterator[Choices]:
    """Yield the choices of which the problems of :func:`stratified_problems` are built."""
    rng = np.random.default_rng([seed, 4])
    every = [size for size in demand.sizes() if dimension in (None, size[2])]
    small = [size for size in every if size[1] * size[2] <= _SMALL]
    sizes = small * rounds + [size for size in every if size not in small for _ in range(rounds)]
    count = len(sizes)

    def dealt(options: Sequence[Any]) -> list[Any]:
        decks = [options[i] for _ in range(-(-count // len(options))) for i in rng.permutation(len(options))]
        return decks[:count]

    def spaced(count: int) -> list[float]:
        return rng.permutation(np.linspace(-1, 1, count)).tolist() if count > 1 else [0.0] * count

    everywhere = dealt(_EVERYWHERE)
    ends, middle = spaced(sum(everywhere)), spaced(count - sum(everywhere))
    columns = {
        "shape": dealt(demand.shapes()),
        "radius": dealt(tuple(RADII)),
        "offset": dealt(_OFFSETS),
        "weights": dealt(WEIGHTS if demand.weights else WEIGHTS[:1]),
        "fine": dealt((True, False)),
        "strided": dealt((False, True)),
        "balanced": dealt(demand.balances()),
        "eps_kind": dealt(demand.eps_kinds),
        "schedule": dealt(demand.schedules()),
        "spread": dealt((False, True, True) if demand.per_sample_noise else (False,)),
        "everywhere": everywhere,
        "place": [ends.pop() if anywhere else middle.pop() for anywhere in everywhere],
    }
    for row, size in enumerate(sizes):
        choices = {name: column[row] for name, column in columns.items()}
        yield _choose(demand, sizes=size, seed=int(rng.integers(2**16)), **choices)
