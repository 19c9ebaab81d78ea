"""Cases for claims about trajectories: flows that solvers of any order follow in some hundred steps, yet not trivial.

Every number has at most eight significant bits, so it is the same in every precision, and one truth serves all. Points
start where ``q`` has its mass. Noise levels span a few units of log-SNR: enough for the covariance to come and go.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from afi_properties.asymmetry import estimate_asymmetry
from afi_properties.choices import FAMILIES, VERSION, pick, require_version, sizes_from, whole_number
from afi_properties.noise_levels import noise_at, time_near_log_snr
from afi_properties.problem import Array, Problem
from afi_reference import schedules
from afi_reference.schedules import Schedule

SCHEDULES: tuple[Schedule, ...] = (
    schedules.RectifiedFlow(),
    schedules.VPLinear(),
    schedules.VEGeometric(),
    schedules.VPCosine(),
    schedules.EDM(),
    schedules.LogSNRLinear(),
    schedules.SubVP(),
)
"""Smooth ones: where f or g2 jumps, solvers lose their order, and nobody is to blame."""

SIZES: tuple[tuple[int, int, int], ...] = ((1, 1, 1), (2, 2, 1), (2, 3, 2), (2, 1, 3), (2, 3, 3), (2, 4, 8))
"""Batch, atoms or components, and dimension, simplest first."""

_SIMPLE_SIZES = ((1, 1, 1), (1, 2, 1), (1, 1, 2), (1, 2, 2), (1, 3, 2), (2, 2, 1), (2, 2, 2), (1, 3, 3))
_SEEDS_PER_SIZE = 2

BY_NAME = {schedule.name: schedule for schedule in SCHEDULES}

LARGEST_DIMENSION = 64
"""Of an adapter's event_shape."""

START = (1.0, 2.5)
END = (-3.5, -1.0)
"""Ranges of log-SNR in which trajectories start and end."""

_WEIGHTS = {1: (16,), 2: (6, 10), 3: (4, 7, 5), 4: (2, 6, 3, 5)}  # sixteenths: exact in every precision
_BITS = 8

TURNED = 0.04
"""Asymmetry of the Jacobian, relative to it, at the points of turned problems: a transpose then shows."""

_DRAWS = 64


@dataclasses.dataclass(frozen=True)
class FlowChoices:
    """Everything that determines a case; what is random beyond it follows from ``seed``.

    Attributes
    ----------
    family
        ``"dirac"`` or ``"gaussian-mixture"``.
    sizes
        Points B, atoms or components N, dimension d.
    schedule
        Its name.
    weighted
        Whether weights may differ.
    point
        Of the batch the one point that is left, if it is not all.
    eps_kind
        What plays epsilon; see :class:`~afi_properties.problem.Problem`.
    """

    family: str
    sizes: tuple[int, int, int]
    schedule: str
    seed: int
    weighted: bool = True
    point: int | None = None
    eps_kind: str = "exact"

    @property
    def id(self) -> str:
        """The text from which :func:`flow_from_id` makes the same case."""
        sizes, weights = "x".join(map(str, self.sizes)), WEIGHTS[self.weighted]
        kind = "flow" if self.eps_kind == "exact" else "skewflow"
        return joined(VERSION, kind, self.family, sizes, weights, self.schedule, f"s{self.seed}", point=self.point)


WEIGHTS = {True: "varied", False: "uniform"}


def trajectory_problems(
    family: str, count: int, seed: int, dimension: int | None = None, *, weighted: bool = True
) -> Iterator[Problem]:
    """Yield ``count`` problems for ``family``, small ones first, with sizes and schedules dealt out evenly.

    Parameters
    ----------
    dimension
        Of the points; of the sizes' own choice when ``None``.
    weighted
        Whether weights may differ.
    """
    rng = np.random.default_rng([seed, 8])
    order = rng.permutation(len(SCHEDULES))
    sizes = sorted(((k % len(SIZES)), k) for k in range(count))
    for size, k in sizes:
        batch, atoms, d = SIZES[size]
        schedule, seed = SCHEDULES[order[k % len(SCHEDULES)]].name, int(rng.integers(2**32))
        yield flow_problem(FlowChoices(family, (batch, atoms, dimension or d), schedule, seed, weighted))


def turned_problems(
    family: str, count: int, seed: int, dimension: int | None = None, *, weighted: bool = True
) -> Iterator[Problem]:
    """Yield the same kind of problems, of other seeds, where the Jacobian is not nearly its own transpose.

    It always is for one atom, for two, and in one dimension; drawn naively also in most other cases.
    """
    for problem in trajectory_problems(family, count, seed, dimension, weighted=weighted):
        if problem.atoms < 3 or problem.dimension == 1:
            yield problem
            continue
        choices = flow_choices_from_id(problem.id or "")
        # Gaussians are wider than their centres: they turn less.
        best, turn, wanted = problem, _turn(problem), TURNED if family == "dirac" else 4 * TURNED
        for draw in range(1, _DRAWS):
            if turn > wanted:
                break
            other = flow_problem(dataclasses.replace(choices, seed=(choices.seed + draw) % 2**32))
            if _turn(other) > turn:
                best, turn = other, _turn(other)
        yield best


def _turn(problem: Problem) -> float:
    """Return about how asymmetric the Jacobian is where that is least; a mixture's centres tell where to look."""
    values = problem.values
    levels = np.stack(noise_at(problem.schedule, np.array([values["t_start"][0], values["t_end"][0]])), axis=1)
    centres = values["data"] if "data" in values else values["means"]
    return float(estimate_asymmetry(values["x"], levels, centres, values["weights"]).min())


def with_skew_epsilon(problem: Problem) -> Problem:
    """Return a problem of the same sizes, but of two dimensions or more, whose epsilon has no symmetric Jacobian.

    Under a schedule that preserves variance: that epsilon does not become smaller with more noise, as the exact one
    does, and would carry the points far away where sigma grows.
    """
    choices = flow_choices_from_id(problem.id or "")
    batch, atoms, dimension = choices.sizes
    schedule = choices.schedule if choices.schedule in _PRESERVING else _PRESERVING[choices.seed % len(_PRESERVING)]
    sizes = (batch, atoms, max(2, dimension))
    return flow_problem(dataclasses.replace(choices, sizes=sizes, schedule=schedule, eps_kind="skew"))


_PRESERVING = ("vp-linear", "vp-cosine", "log-snr-linear")
_EPSILONS = {"exact": "", "skew": ", an epsilon whose Jacobian is not symmetric"}


def simpler_trajectories(problem: Problem) -> Iterator[Problem]:
    """Yield problems that are simpler than one of :func:`trajectory_problems`, the simplest first."""
    choices = flow_choices_from_id(problem.id or "")
    fixed = choices.sizes[2] if choices.sizes[2] not in {d for _, _, d in SIZES} else None
    for sizes in _SIMPLE_SIZES:
        smaller = (*sizes[:2], fixed or sizes[2])
        if smaller[0] * smaller[1] * smaller[2] < problem.batch * problem.atoms * problem.dimension:
            for seed in range(_SEEDS_PER_SIZE):
                yield flow_problem(dataclasses.replace(choices, sizes=smaller, seed=seed, point=None))
    for point in range(problem.batch) if problem.batch > 1 else ():
        yield flow_problem(dataclasses.replace(choices, point=point))


def flow_choices_from_id(text: str) -> FlowChoices:
    """Return the choices that an id stands for.

    Raises
    ------
    ValueError
        If it is not the id of such a case.
    """
    words, point = split(text, 7)
    _, kind, family, sizes, weights, schedule, seed = words
    return FlowChoices(
        pick(text, "family", family, FAMILIES),
        sizes_from(text, sizes),
        pick(text, "schedule", schedule, BY_NAME),
        whole_number(text, "seed", seed, "s"),
        pick(text, "weights", weights, WEIGHTS.values()) == WEIGHTS[True],
        point,
        "skew" if kind == "skewflow" else "exact",
    )


def flow_from_id(text: str) -> Problem:
    """Return the case that an id stands for.

    Raises
    ------
    ValueError
        If it is not the id of such a case.
    """
    choices = flow_choices_from_id(text)
    if choices.sizes[1] not in _WEIGHTS or choices.sizes[2] > LARGEST_DIMENSION:
        raise ValueError(f"case id {text!r}: there are no such cases of these sizes.")
    return flow_problem(choices)


def joined(*words: str, point: int | None) -> str:
    """Return the id that is made of words, of one point of its batch if that is wanted."""
    return "_".join([*words, *([] if point is None else [f"p{point}"])])


def split(text: str, count: int) -> tuple[list[str], int | None]:
    """Return the ``count`` words of an id, and the point, if it is of one.

    Raises
    ------
    ValueError
        If it has another number of words.
    """
    require_version(text)
    words = text.split("_")
    if len(words) not in (count, count + 1):
        raise ValueError(f"case id {text!r} has {len(words)} parts, and this kind of case has {count}.")
    return words[:count], whole_number(text, "point", words[count], "p") if len(words) > count else None


def alone(problem: Problem, point: int | None) -> Problem:
    """Return the problem with one of its points.

    Raises
    ------
    ValueError
        If it has no such point.
    """
    if point is None:
        return problem
    if point >= problem.batch:
        raise ValueError(f"case id {problem.id!r}: there are only {problem.batch} points, from p0.")
    per_point = ("x", "v", "x0", "loss_grad", "t", "alpha", "sigma", "t_start", "t_end")
    rows = {name: problem.values[name][point : point + 1] for name in per_point}
    return dataclasses.replace(problem, values={**problem.values, **rows})


def flow_problem(choices: FlowChoices) -> Problem:
    """Return the problem that ``choices`` determine, the same numbers whenever it is called."""
    rng = np.random.default_rng([choices.seed, 8])
    (batch, atoms, dimension), family, schedule = choices.sizes, choices.family, BY_NAME[choices.schedule]
    weights = np.array(_WEIGHTS[atoms]) / 16 if choices.weighted else np.full(atoms, 1 / atoms)
    t_start, t_end = (time_near_log_snr(schedule, float(rng.uniform(*ends))) for ends in (START, END))
    alpha, sigma = noise_at(schedule, np.full(batch, t_start))
    ratio = sigma[0] / alpha[0]
    # Spread out by two or three standard deviations of the noise, in any dimension: several atoms share the posterior.
    shape = (atoms, dimension)
    centres = rounded(rng.normal(size=dimension) + 2.5 * ratio / np.sqrt(dimension) * rng.normal(size=shape))
    values = {"weights": weights}
    widths = np.zeros((atoms, dimension, dimension))
    if family == "gaussian-mixture":
        factors = rng.normal(size=(atoms, dimension, dimension)) / np.sqrt(dimension)
        lower = np.tril(rounded(factors @ factors.swapaxes(1, 2) / 2 + np.eye(dimension) / 4))
        widths = lower + np.tril(lower, -1).swapaxes(1, 2)
        values |= {"means": centres, "covariances": widths}
    else:
        values |= {"data": centres}
    chosen = rng.integers(atoms, size=batch)
    noise = rng.normal(size=(batch, dimension))
    spread = np.stack(
        [np.linalg.cholesky(alpha[0] ** 2 * widths[k] + sigma[0] ** 2 * np.eye(dimension)) for k in chosen]
    )
    x = rounded(alpha[0] * centres[chosen] + np.einsum("bij,bj->bi", spread, noise))
    gradient = rounded(rng.normal(size=(batch, dimension)))
    ends = {"t_start": np.full(batch, t_start), "t_end": np.full(batch, t_end)}
    noised = {"t": np.full(batch, t_start), "alpha": alpha, "sigma": sigma}
    problem = Problem(
        scenario=family,
        description=f"from {t_start:g} to {t_end:g} under {schedule.name}{_EPSILONS[choices.eps_kind]}",
        schedule=schedule,
        values={**values, **ends, **noised, "x": x, "v": gradient, "x0": centres[chosen], "loss_grad": gradient},
        eps_kind=choices.eps_kind,
        seed=choices.seed,
        id=choices.id,
    )
    return alone(problem, choices.point)


def rounded(values: Array) -> Array:
    """Return the nearest numbers of eight significant bits."""
    mantissas, exponents = np.frexp(values)
    return np.ldexp(np.round(np.ldexp(mantissas, _BITS)), exponents - _BITS)
