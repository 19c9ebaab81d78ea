"""Two identities in the mean over q_t: of Fisher's information, and of the denoising error.

For atoms that are handed over the means are integrals over a line of atoms: along the line by the trapezoidal rule,
which converges exponentially for these analytic integrands, across it by Gauss-Hermite quadrature, which is exact.
For unknown data they are means over samples that the user gives, and the sides differ by chance: the error that they
may have is Student's, at a false-alarm rate of 1e-8 for each noise level.
"""

import dataclasses
import itertools

import numpy as np

from afi_properties.judgement import LIMIT
from afi_properties.problem import Array, Problem
from afi_properties.relation import Ask, Question, Relation, Sides, changed, only, repeated, rng_of, scaled

FALSE_ALARM_RATE = 1e-8
"""Of each noise level: below 1e-6 for a run of up to a hundred."""

_SPACING = 0.2
_REACH = 7.0
_FURTHEST = 2.0  # of an atom from the centre, in noise scales: the integrand is then smooth on the scale of the spacing


@dataclasses.dataclass(frozen=True, eq=False)
class _Nodes:
    """Points of a quadrature over q_t of a line of atoms."""

    question: Question
    atoms: Array  # (N, d)
    densities: Array  # (N, nodes): weight of each node for each atom
    odd: Array  # (nodes,) which nodes a rule of twice the spacing leaves out
    outermost: Array  # (nodes,)

    def mean(self, integrands: Array) -> tuple[Array, Array]:
        """Return the integral of what depends on the atom, (N, nodes), and an estimate of its error."""
        terms = (self.densities * integrands).sum(axis=0)
        fine, coarse = terms.sum(), 2 * terms[~self.odd].sum()
        return np.array([fine]), np.array([abs(fine - coarse) + np.abs(terms[self.outermost]).sum()])


def _fisher_identity(ask: Ask, roles: tuple[str, ...], problem: Problem) -> Sides:
    score, trace = roles
    problem = only(problem, np.array([0]))
    if "samples" in problem.values:
        question, _ = _sampled(problem)
        return _by_samples(ask(trace, question), (ask(score, question) ** 2).sum(axis=1))
    nodes = _line_of_atoms(problem)
    traces, squares = ask(trace, nodes.question), (ask(score, nodes.question) ** 2).sum(axis=1)
    left, left_error = nodes.mean(traces[None])
    right, right_error = nodes.mean(squares[None])
    size = problem.dimension / problem.values["sigma"] ** 2 + np.abs(left)
    return Sides(left, right, size, truncation=left_error + right_error)


def _denoising_error(ask: Ask, roles: tuple[str, ...], problem: Problem) -> Sides:
    mean, trace = roles
    problem = only(problem, np.array([0]))
    ratio = (problem.values["sigma"] ** 2 / problem.values["alpha"]) ** 2
    largest = problem.dimension / problem.values["sigma"] ** 2
    if "samples" in problem.values:
        question, clean = _sampled(problem)
        errors = ((clean - ask(mean, question)) ** 2).sum(axis=1)
        return _by_samples(ratio * (largest - ask(trace, question)), errors)
    nodes = _line_of_atoms(problem)
    traces, means = ask(trace, nodes.question), ask(mean, nodes.question)
    errors = np.stack([((atom - means) ** 2).sum(axis=1) for atom in nodes.atoms])
    left, left_error = nodes.mean(ratio * (largest - traces)[None])
    right, right_error = nodes.mean(errors)
    return Sides(left, right, ratio * largest + right, truncation=left_error + right_error)


def _line_of_atoms(problem: Problem) -> _Nodes:
    """Move the atoms onto a line, near one another, and cover the line and what is about it with nodes."""
    values, dimension = problem.values, problem.dimension
    alpha, sigma = values["alpha"][0], values["sigma"][0]
    frame, _ = np.linalg.qr(rng_of(problem).standard_normal((dimension, dimension)))
    centre = values["weights"] @ values["data"]
    places = np.clip((values["data"] - centre) @ frame[:, 0] * alpha / sigma, -_FURTHEST, _FURTHEST)
    atoms = centre + sigma / alpha * places[:, None] * frame[:, 0]
    grid = _SPACING * np.arange(-round((_FURTHEST + _REACH) / _SPACING), round((_FURTHEST + _REACH) / _SPACING) + 1)
    across, across_weights = np.polynomial.hermite_e.hermegauss(3)
    products = [np.array(p, dtype=int) for p in itertools.product(range(3), repeat=dimension - 1)]
    offsets = np.array([across[p] for p in products]).reshape(len(products), dimension - 1) @ frame[:, 1:].T
    factors = np.array([np.prod(across_weights[p] / across_weights.sum()) for p in products])
    deviations = (grid[:, None, None] * frame[:, 0] + offsets[None]).reshape(-1, dimension)
    bells = np.exp(-((grid - places[:, None]) ** 2) / 2) * _SPACING / np.sqrt(2 * np.pi)
    densities = values["weights"][:, None] * (bells[:, :, None] * factors).reshape(len(atoms), -1)
    index = np.repeat(np.arange(len(grid)), len(factors))
    question = repeated(problem, len(index), x=alpha * centre + sigma * deviations, data=atoms)
    return _Nodes(question, atoms, densities, index % 2 == 1, (index == 0) | (index == len(grid) - 1))


def _sampled(problem: Problem) -> tuple[Question, Array]:
    """Noise each of the samples once."""
    samples = problem.values["samples"]
    noise = rng_of(problem).standard_normal(samples.shape)
    x = problem.values["alpha"] * samples + problem.values["sigma"] * noise
    return changed(repeated(problem, len(samples)), x=x), samples


def _by_samples(left: Array, right: Array) -> Sides:
    from scipy import stats

    count = len(left)
    deviation = (left - right).std(ddof=1) / np.sqrt(count)
    chance = stats.t.isf(FALSE_ALARM_RATE / 2, count - 1) * deviation
    size = np.abs(left).mean() + np.abs(right).mean()
    return Sides(np.array([left.mean()]), np.array([right.mean()]), np.array([size]), np.array([chance / LIMIT]))


RELATIONS = (
    Relation(
        label="fisher-identity",
        statement="E[tr F] = E‖s‖² over x_t ∼ q_t",
        violated="the information does not match the score: E[tr F] = {left}, E‖s‖² = {right}",
        roles=(("score", "fisher_trace"),),
        compare=_fisher_identity,
        mistakes={"score wrong by 20 %": scaled(0, 1.2), "trace wrong by 20 %": scaled(1, 1.2)},
        families=("dirac", "unknown"),
        model="diffusion",
        limit=4,
        largest_dimension=2,
        needs_samples=True,
        cases=3,
    ),
    Relation(
        label="denoising-error",
        statement="E[tr Cov(x₀ | x_t)] = E‖x₀ − E[x₀ | x_t]‖², with tr Cov = σ⁴/α² · (d/σ² − tr F)",
        violated="trace and posterior mean disagree: E[tr Cov(x₀ | x_t)] = {left}, E‖x₀ − E[x₀ | x_t]‖² = {right}",
        roles=(("posterior_mean", "fisher_trace"),),
        compare=_denoising_error,
        mistakes={"posterior mean wrong by 20 %": scaled(0, 1.2), "trace wrong by 20 %": scaled(1, 1.2)},
        families=("dirac", "unknown"),
        model="diffusion",
        limit=4,
        largest_dimension=2,
        needs_samples=True,
        cases=3,
    ),
)
