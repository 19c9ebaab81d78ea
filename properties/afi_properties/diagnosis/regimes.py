"""Where answers are wrong: a part of the cases that one property sets apart from those with right answers."""

from collections.abc import Callable, Sequence

import numpy as np

from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.diagnosis.explanation import Explanation, Fault
from afi_properties.problem import Array

FEWEST = 3
"""Points on either side that a property must set apart to be named."""

MOSTLY = 0.8
"""Share of wrong points that a part of the cases needs to be named as where answers are wrong."""

_UNDERFLOW = {"float64": -700.0, "float32": -85.0, "bfloat16": -85.0, "float16": -8.0}


def find_flag(exhibits: Sequence[Exhibit], wrong: Sequence[Array]) -> Explanation | None:
    """Return the circumstance (B = N, strided arrays, …) in which answers are wrong, and hardly elsewhere.

    Parameters
    ----------
    exhibits
        All cases of a check, right and wrong.
    wrong
        For each, which points are wrong, (B,) bool; a point that is not representable is left out.
    """
    table = _Table(exhibits, wrong)
    if not table.decides:
        return None
    return table.best([(fault, words, table.column(flag).astype(bool)) for fault, words, flag in _FLAGS])


def find_threshold(exhibits: Sequence[Exhibit], wrong: Sequence[Array]) -> Explanation | None:
    """Return the number (d, log-SNR, …) beyond a value of which answers are wrong, and hardly elsewhere."""
    table = _Table(exhibits, wrong)
    if not table.decides:
        return None
    bad = table.wrong
    underflow = _UNDERFLOW[exhibits[0].precision.name]
    for words, exponent in _EXPONENTS:
        exponents = table.column(exponent)
        if exponents[bad].max() < min(underflow, exponents[~bad].min()):
            return Explanation(Fault.UNDERFLOW, f"is wrong only where {words}: subtract the largest exponent first")
    candidates = []
    for fault, words, feature in _NUMBERS:
        values = table.column(feature)
        low, high = values[bad].min(), values[bad].max()
        if (words == "N" and low <= 2) or (words == "|log-SNR|" and low < 1):
            pass  # a single atom is right whatever the weights, and alpha = sigma whatever their powers
        elif words == "N":
            where = f"where N is at least {low:.4g}: some atoms are left out, or put together wrongly"
            candidates.append((Fault.TRUNCATED, where, values >= low))
        elif words == "d" and low <= 2:
            where = f"where d is at least {low:.4g}: entries of a matrix, or axes, are mistaken for one another"
            candidates.append((Fault.STRUCTURE, where, values >= low))
        else:
            candidates.append((fault, f"where {words} is at least {low:.4g}", values >= low))
        if words == "α" and (values[values > high] == 1).all():
            candidates.append((Fault.POWER_OF_ALPHA, "where α is not 1", values <= high))
        elif words == "d" and high == 1:
            candidates.append((Fault.BROADCASTING, "where d is 1", values <= high))
        else:
            candidates.append((fault, f"where {words} is at most {high:.4g}", values <= high))
    return table.best(candidates)


class _Table:
    """The points of all cases, with what is known of each."""

    def __init__(self, exhibits: Sequence[Exhibit], wrong: Sequence[Array]) -> None:
        self._exhibits = exhibits
        self._shown = [e.truth.representable for e in exhibits]
        self.wrong = np.concatenate([w[s] for w, s in zip(wrong, self._shown, strict=True)])

    @property
    def decides(self) -> bool:
        """Whether there are enough points on either side."""
        return min(int(self.wrong.sum()), int((~self.wrong).sum())) >= FEWEST

    def best(self, parts: Sequence[tuple[Fault, str, Array]]) -> Explanation | None:
        """Return the part that holds all wrong points and hardly a right one, if there is one.

        A few right ones are allowed: where the truth is zero, say, a wrong formula can be right by chance.
        """
        apart = [part[self.wrong].all() and (~part).sum() >= FEWEST for _, _, part in parts]
        shares = [self.wrong[part].mean() if told else 0.0 for told, (_, _, part) in zip(apart, parts, strict=True)]
        if max(shares) < MOSTLY:
            return None
        fault, words, _ = parts[int(np.argmax(shares))]
        return Explanation(fault, f"is wrong only {words}")

    def column(self, feature: Callable[[Exhibit], Array | float]) -> Array:
        pairs = zip(self._exhibits, self._shown, strict=True)
        return np.concatenate([np.broadcast_to(feature(e), len(s))[s] for e, s in pairs]).astype(float)


def _atoms(e: Exhibit) -> Array:
    values = e.problem.values
    return np.asarray(values["data"] if "data" in values else values["means"])


def _exponents(e: Exhibit) -> Array:
    values = e.problem.values
    x, alpha, sigma = values["x"], values["alpha"], values["sigma"]
    squares = np.stack([((p - a * _atoms(e)) ** 2).sum(axis=1) for p, a in zip(x, alpha, strict=True)])
    return np.asarray(-squares / (2 * sigma[:, None] ** 2))


def _least_density(e: Exhibit) -> Array:
    """Return minus the logarithm of the factor of a density, which overflows, (B,)."""
    return np.asarray(e.problem.dimension / 2 * np.log(2 * np.pi * e.problem.values["sigma"] ** 2))


_EXPONENTS: tuple[tuple[str, Callable[[Exhibit], Array]], ...] = (
    ("every weight underflows", lambda e: _exponents(e).max(axis=1)),
    ("exponentials relative to the first atom's overflow", lambda e: _exponents(e)[:, 0] - _exponents(e).max(axis=1)),
    ("exponentials relative to the last atom's overflow", lambda e: _exponents(e)[:, -1] - _exponents(e).max(axis=1)),
    (
        "every weight relative to the batch's largest underflows",
        lambda e: _exponents(e).max(axis=1) - _exponents(e).max(),
    ),
    ("the densities' factor (2πσ²)^(−d/2) overflows", _least_density),
)
"""What underflows where it is small, by point, (B,)."""


def _offset(e: Exhibit) -> float:
    atoms = _atoms(e)
    centre = atoms.mean(axis=0)
    spread = np.abs(atoms - centre).max() + float(e.problem.values["sigma"].max())
    return float(np.linalg.norm(centre) / np.sqrt(len(centre)) / spread)


def _duplicated(e: Exhibit) -> bool:
    atoms = _atoms(e)
    return len(np.unique(atoms, axis=0)) < len(atoms)


_FLAGS: tuple[tuple[Fault, str, Callable[[Exhibit], Array | float]], ...] = (
    (Fault.BROADCASTING, "where B = N", lambda e: e.problem.batch == e.problem.atoms),
    (Fault.BROADCASTING, "where B = N > 1", lambda e: e.problem.batch == e.problem.atoms > 1),
    (Fault.BROADCASTING, "where B = d", lambda e: e.problem.batch == e.problem.dimension),
    (Fault.BROADCASTING, "where B = d > 1", lambda e: e.problem.batch == e.problem.dimension > 1),
    (Fault.BROADCASTING, "where N = d", lambda e: e.problem.atoms == e.problem.dimension),
    (Fault.BROADCASTING, "where N = d > 1", lambda e: e.problem.atoms == e.problem.dimension > 1),
    (Fault.BROADCASTING, "for a batch of one point", lambda e: e.problem.batch == 1),
    (Fault.BATCH, "for a batch of more than one point", lambda e: e.problem.batch > 1),
    (Fault.SIZE, "for a single atom", lambda e: e.problem.atoms == 1),
    (Fault.BROADCASTING, "where N = 1 or d = 1", lambda e: min(e.problem.atoms, e.problem.dimension) == 1),
    (Fault.WEIGHTS_WRONG, "where weights differ", lambda e: np.ptp(e.problem.values["weights"]) > 0),
    (Fault.STRIDES, "where arrays are not contiguous", lambda e: e.problem.strided),
    (Fault.DUPLICATES, "where atoms are duplicated", _duplicated),
    (Fault.BATCH, "for an even number of points", lambda e: e.problem.batch % 2 == 0),
    (Fault.BATCH, "for an odd number of points", lambda e: e.problem.batch % 2 == 1),
    (Fault.MINIBATCH, "for an even number of atoms", lambda e: e.problem.atoms % 2 == 0),
    (Fault.MINIBATCH, "for an odd number of atoms", lambda e: e.problem.atoms % 2 == 1),
)

_NUMBERS: tuple[tuple[Fault, str, Callable[[Exhibit], Array | float]], ...] = (
    (Fault.DIMENSION, "d", lambda e: e.problem.dimension),
    (Fault.SIZE, "N", lambda e: e.problem.atoms),
    (Fault.SIZE, "B", lambda e: e.problem.batch),
    (Fault.NOISE, "log-SNR", lambda e: e.problem.log_snr),
    (Fault.NOISE, "|log-SNR|", lambda e: np.abs(e.problem.log_snr)),
    (Fault.OFFSET, "the data's distance from zero, in multiples of their spread,", _offset),
    (Fault.SCHEDULE, "|α² + σ² − 1|", lambda e: np.abs(_power(e) - 1)),
    (Fault.NOISE, "σ", lambda e: e.problem.values["sigma"]),
    (Fault.NOISE, "α", lambda e: e.problem.values["alpha"]),
)


def _power(e: Exhibit) -> Array:
    values = e.problem.values
    return np.asarray(values["alpha"] ** 2 + values["sigma"] ** 2)
