"""Factors between a term of the truth and what stands in its place: powers of α, σ, d, N and B, and constants."""

import dataclasses
import functools
import itertools

import numpy as np

from afi_properties.diagnosis.explanation import Fault
from afi_properties.problem import Array

_POWERS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, -3.0, 4.0, -4.0)
_CONSTANTS = (1.0, 2.0, 0.5, 4.0, 0.25)
_SIZES = ((0, 0, 0, 0), (1, 0, 0, 0), (-1, 0, 0, 0), (0, 1, 0, 0), (0, -1, 0, 0), (0, 0, 1, 0), (0, 0, -1, 0))
_MORE_SIZES = ((0, 0, 0, 1), (0, 0, 0, -1), (0.5, 0, 0, 0), (-0.5, 0, 0, 0), (2, 0, 0, 0))


@dataclasses.dataclass(frozen=True)
class Factor:
    """``constant * alpha^a sigma^b d^e N^g B^h (N/(N-1))^m``."""

    constant: float
    alpha: float = 0.0
    sigma: float = 0.0
    dimension: float = 0.0
    atoms: float = 0.0
    batch: float = 0.0
    bessel: float = 0.0

    @property
    def fault(self) -> Fault:
        """The family of the mistake that multiplies by this factor."""
        if self.constant == 0:
            return Fault.TERM_DROPPED
        if self.dimension:
            return Fault.ONE_OVER_D
        if self.batch:
            return Fault.BATCH
        if self.alpha or self.sigma:
            return Fault.POWER_OF_ALPHA if abs(self.alpha) > abs(self.sigma) else Fault.POWER_OF_SIGMA
        if self.atoms or self.bessel:
            return Fault.CONSTANT
        return {-1.0: Fault.SIGN, 2.0: Fault.TERM_DOUBLED}.get(self.constant, Fault.CONSTANT)

    def __str__(self) -> str:
        """Return the factor as text, for example ``-α²σ⁻¹``."""
        powers = zip(("α", "σ", "d", "N", "B", "(N/(N−1))"), dataclasses.astuple(self)[1:], strict=True)
        text = "".join(name + ("" if power == 1 else _superscript(power)) for name, power in powers if power)
        if not text:
            return f"{self.constant:.6g}".replace("-", "−")
        sign = {1.0: "", -1.0: "−"}.get(self.constant)
        return (sign if sign is not None else f"{self.constant:.6g}·".replace("-", "−")) + text


@dataclasses.dataclass(frozen=True, eq=False)
class Coefficients:
    """What would have to stand before a term, per point, shape (P,) each."""

    values: Array
    tolerances: Array  # how far a factor may be from them
    logs: Array  # (P, 6): logarithms of alpha, sigma, d, N, B, N/(N-1)
    is_telling: bool = True  # whether a factor is more than a fit to rounding

    @property
    def are_one(self) -> bool:
        """Whether the factor 1, the truth, is within all tolerances."""
        return bool((np.abs(self.values - 1) <= self.tolerances).all())

    @property
    def telling(self) -> "Coefficients":
        """Those that are known to a tenth: where a term is lost in the rounding of the others, any factor fits."""
        known = self.tolerances <= 0.1 * np.maximum(np.abs(self.values), 1)
        return Coefficients(self.values[known], self.tolerances[known], self.logs[known])


def find_factor(coefficients: Coefficients) -> Factor | None:
    """Return the simplest factor within the tolerances of all coefficients, or ``None``; never the factor 1."""
    values, tolerances = coefficients.values, coefficients.tolerances
    if coefficients.are_one:
        return None
    if (np.abs(values) <= tolerances).all():
        return Factor(0.0)
    if not np.isfinite(values).all():
        return None
    constants, powers = _grid()
    for sign in (1.0, -1.0):
        fits = np.arange(len(constants))
        for points in (slice(8), slice(8, None)):  # the first few rule out nearly all
            with np.errstate(all="ignore"):
                predicted = sign * constants[fits, None] * np.exp(powers[fits] @ coefficients.logs[points].T)
            fits = fits[(np.abs(predicted - values[points]) <= tolerances[points]).all(axis=1)]
        if len(fits):
            return Factor(sign * float(constants[fits[0]]), *(float(p) for p in powers[fits[0]]))
    telling = coefficients.telling
    return _find_constant(telling) or _find_damping(telling)


def _find_constant(coefficients: Coefficients) -> Factor | None:
    """Return a factor with a constant that is no simple number, times powers of alpha and sigma alone."""
    values, tolerances, logs = coefficients.values, coefficients.tolerances, coefficients.logs
    if len(np.unique(logs[:, 1])) < 4:  # so many noise levels, or a constant and two powers fit anything
        return None
    for alpha, sigma in sorted(itertools.product(_POWERS, _POWERS), key=lambda p: abs(p[0]) + abs(p[1])):
        shape = np.exp(alpha * logs[:, 0] + sigma * logs[:, 1])
        ratios, widths = values / shape, tolerances / shape
        low, high = (ratios - widths).max(), (ratios + widths).min()
        if low <= high and low * high > 0:
            return Factor(float(f"{(low + high) / 2:.3g}"), alpha=alpha, sigma=sigma)
    return None


@dataclasses.dataclass(frozen=True)
class Damping(Factor):
    """``1 / (1 + small / quantity)``, or its square: a small number was added to a divisor."""

    small: float = 0.0
    divisor: str = ""

    @property
    def fault(self) -> Fault:
        """Always the same."""
        return Fault.EPSILON

    def __str__(self) -> str:
        """Return the factor as text."""
        return f"what {self.small:.3g} added to a divisor {self.divisor} makes of it"


def _find_damping(coefficients: Coefficients) -> Factor | None:
    values, tolerances, logs = coefficients.values, coefficients.tolerances, coefficients.logs
    if len(np.unique(logs[:, 1])) < 4 or not (values > 0).all():
        return None
    for power in (1, 2):
        roots = values ** (1 / power)
        for name, quantity in (("σ²", 2 * logs[:, 1]), ("σ⁴", 4 * logs[:, 1]), ("σ", logs[:, 1]), ("α", logs[:, 0])):
            shape = np.exp(quantity)
            small = (1 / roots - 1) * shape
            widths = tolerances / values / power / roots * shape
            low, high = (small - widths).max(), (small + widths).min()
            if 0 < low <= high:
                return Damping(float(power), small=float(f"{(low + high) / 2:.3g}"), divisor=name)
    return None


@functools.cache
def _grid() -> tuple[Array, Array]:
    """Return constants (G,) and powers (G, 6) of all factors tried, simplest first."""
    rows = [
        (constant, a, b, *sizes)
        for constant, a, b, sizes in itertools.product(_CONSTANTS, _POWERS, _POWERS, _SIZES + _MORE_SIZES)
    ]
    rows.sort(key=_complexity)
    table = np.array(rows)
    return table[:, 0], table[:, 1:]


def _complexity(row: tuple[float, ...]) -> float:
    constant, *powers = row
    used = sum(power != 0 for power in powers) + (constant != 1)
    return 3 * used + sum(abs(power) + (power % 1 != 0) for power in powers) + abs(np.log2(constant))


def _superscript(power: float) -> str:
    return f"{power:g}".translate(str.maketrans("-0123456789.", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹·"))
