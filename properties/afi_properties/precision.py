"""The floating-point formats that an implementation may work in."""

import dataclasses
import math

import numpy as np


@dataclasses.dataclass(frozen=True)
class Precision:
    """A binary floating-point format."""

    name: str
    significant_bits: int
    smallest: float  # smallest number held to full or, in float16, to gradual precision
    largest: float
    added_as_one: int  # terms up to which a sum is rounded as if once, in multiples that LIMIT allows for

    @property
    def unit_roundoff(self) -> float:
        """Largest relative error of one rounding to nearest."""
        return math.ldexp(1.0, -self.significant_bits)


# Sums are added in pairs, on the lanes of a register, or in sequence, and right code does each: SciPy's `cdist` adds
# squares in sequence (in float64, as all of SciPy), torch's norm and products of matrices on 4 to 16 lanes. The error
# of a sequence grows like the root of its length: for 64 terms it is up to 12 of the 16 roundings that are allowed.
PRECISIONS = {
    p.name: p
    for p in (
        Precision("float64", 53, float(np.finfo(np.float64).tiny), float(np.finfo(np.float64).max), 64),
        Precision("float32", 24, float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max), 256),
        # Half precision is used with its subnormals; the larger formats are often run with them flushed.
        Precision("float16", 11, math.ldexp(1.0, -24), 65504.0, 256),
        Precision("bfloat16", 8, float(np.finfo(np.float32).tiny), math.ldexp(2 - 2.0**-7, 127), 256),
    )
}

_LONGDOUBLE_IS_WIDER = bool(np.finfo(np.longdouble).eps < np.finfo(np.float64).eps / 256)


def wider_dtype(precision: Precision) -> type[np.floating]:
    """Return the NumPy type in which to compute the truth for code that works in ``precision``.

    For float64 that is longdouble. Where the platform's longdouble is float64 itself (Windows, macOS on ARM),
    the truth is as accurate as good float64 code can be, and the measured spread includes its own rounding.
    """
    return np.longdouble if precision.name == "float64" and _LONGDOUBLE_IS_WIDER else np.float64
