"""Real data as atoms, over the whole range of noise: scikit-learn's handwritten digits, or anybody's own."""

import dataclasses
import functools
import itertools
import zlib
from collections.abc import Iterator

import numpy as np

from afi_properties.choices import VERSION, require_version, whole_number
from afi_properties.noise_levels import noise_at, time_near_log_snr
from afi_properties.problem import Array, Problem
from afi_reference.distribution import as_float_array, normalised_weights
from afi_reference.schedules import LogSNRLinear

LOG_SNRS = tuple(range(-20, 21, 2))
"""The noise levels: 21 of them."""

_FAR = (4, 16)  # levels whose point is far from all atoms: log-SNR -12 and 12


@functools.cache
def load_digits_atoms() -> Array:
    """Return the 1,797 digits, shape (1797, 64), rescaled from 0..16 to [-1, 1]."""
    from sklearn.datasets import load_digits

    atoms: Array = load_digits().data / 8 - 1
    atoms.setflags(write=False)
    return atoms


def noised_problems(scenario: str, atoms: Array, weights: Array | None, seed: int) -> Iterator[Problem]:
    """Yield one problem of one point per noise level.

    At every other level the point is noised from a random atom, at the others from halfway between an atom and its
    nearest neighbour, with so little noise along their difference that the two share the posterior at high SNR, too,
    where a noised atom takes all. At two levels it is moved off by 40 sigma: there unnormalised weights underflow.

    Raises
    ------
    ValueError
        If the atoms are not finite numbers of shape (N, d), or the weights are not a distribution on them.
    """
    atoms = as_float_array(atoms, "data")
    if atoms.ndim != 2 or 0 in atoms.shape:
        raise ValueError(f"data must have shape (N, d), one atom per row; got {atoms.shape}.")
    weights = normalised_weights(weights, len(atoms))
    schedule = LogSNRLinear()
    rng = np.random.default_rng([seed, 3])
    name = f"{VERSION}_{scenario}_{_fingerprint(atoms, weights)}"
    for level, log_snr in enumerate(LOG_SNRS):
        times = np.array([time_near_log_snr(schedule, log_snr)])
        alpha, sigma = noise_at(schedule, times)
        chosen, end = rng.integers(0, len(atoms), 2)
        other = chosen if level % 2 == 0 else _nearest_neighbour(atoms, chosen)
        clean = (atoms[[chosen]] + atoms[[other]]) / 2
        noise = rng.standard_normal(clean.shape)
        noise = _shared(noise, atoms[chosen] - atoms[other], float(alpha[0] / sigma[0]))
        if level in _FAR:
            noise += 40 * noise / np.linalg.norm(noise)
        yield Problem(
            scenario=scenario,
            description=f"{len(atoms)} atoms of {scenario}, {schedule.name}",
            schedule=schedule,
            values={
                "x": alpha[:, None] * clean + sigma[:, None] * noise,
                "v": rng.standard_normal(clean.shape),
                "x0": atoms[[end]],
                "t": times,
                "alpha": alpha,
                "sigma": sigma,
                "data": atoms,
                "weights": weights,
            },
            seed=seed + log_snr + 20,
            id=f"{name}_s{seed}_level{level}",
        )


def with_nearest_atoms(problem: Problem, count: int) -> Problem:
    """Return a problem of one point with only the ``count`` atoms nearest to it, in their order."""
    values = dict(problem.values)
    distances = ((values["x"][0] - values["alpha"][0] * values["data"]) ** 2).sum(axis=1)
    nearest = np.sort(np.argsort(distances, kind="stable")[:count])
    weights = values["weights"][nearest]
    values |= {"data": values["data"][nearest], "weights": weights / weights.sum()}
    description = f"{problem.description}, the {count} atoms nearest to the point"
    return dataclasses.replace(problem, values=values, description=description, id=f"{problem.id}_near{count}")


def noised_from_id(text: str, atoms: Array | None = None, weights: Array | None = None) -> Problem:
    """Return the problem on real data with the id ``text``; only the digits need no ``atoms``.

    Raises
    ------
    ValueError
        If it is not the id of a case on these data, of this version.
    """
    require_version(text)
    words = text.split("_")
    if len(words) not in (5, 6):
        raise ValueError(f"case id {text!r}: a case on real data has 5 or 6 parts, not {len(words)}.")
    scenario, fingerprint = words[1], words[2]
    seed = whole_number(text, "seed", words[3], "s")
    level = whole_number(text, "noise level", words[4], "level")
    if level >= len(LOG_SNRS):
        raise ValueError(f"case id {text!r}: there are only {len(LOG_SNRS)} noise levels, from level0.")
    if scenario == "digits":
        atoms, weights = load_digits_atoms(), None
    elif atoms is None:
        raise ValueError(f"case id {text!r} is of data of your own: give them again.")
    # A function that does not ask for weights was checked with uniform ones.
    for chosen in (weights, None):
        if _fingerprint(as_float_array(atoms, "data"), normalised_weights(chosen, len(atoms))) == fingerprint:
            problem = next(itertools.islice(noised_problems(scenario, atoms, chosen, seed), level, None))
            if len(words) == 5:
                return problem
            return with_nearest_atoms(problem, min(whole_number(text, "count", words[5], "near"), len(atoms)))
    raise ValueError(f"case id {text!r} is of other data, or other weights, than these.")


def _fingerprint(atoms: Array, weights: Array) -> str:
    return f"{zlib.crc32(atoms.tobytes() + weights.tobytes()):08x}"


def _shared(noise: Array, difference: Array, ratio: float) -> Array:
    """Shorten the noise's component along ``difference`` so that it changes log weights by about 1 at most.

    In units of sigma the two atoms are ``ratio * |difference|`` apart, and a component z along them changes the log
    weight of one against the other by as many times z.
    """
    distance = float(np.linalg.norm(difference))
    if distance == 0:
        return noise
    direction = difference / distance
    along = noise @ direction
    return noise - (1 - min(1.0, 1 / (ratio * distance))) * along[:, None] * direction


def _nearest_neighbour(atoms: Array, index: int) -> int:
    distances = ((atoms - atoms[index]) ** 2).sum(axis=1)
    distances[distances == 0] = np.inf  # itself, and its copies
    return index if np.isinf(distances).all() else int(np.argmin(distances))
