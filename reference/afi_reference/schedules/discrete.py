"""Any variance-preserving schedule that is given as a table, as diffusers' schedulers do."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from afi_reference.schedules.interpolated import InterpolatedVP, Table, interpolate


@dataclass(frozen=True, eq=False)
class DiscreteVP(InterpolatedVP):
    """VP with ``alpha^2`` given at the steps t = 0, 1, ..., N-1, e.g. ``scheduler.alphas_cumprod``.

    The numbers count as exact in whatever precision they come: ``alpha_bar(k)`` is the k-th of them, bit
    for bit, in the dtype of ``t`` if that is at least as wide. Between the steps ``log alpha_bar`` is a
    monotone cubic (see ``interpolate``).

    Parameters
    ----------
    alphas_cumprod
        Shape (N,), N >= 2: NumPy array, sequence or torch tensor on the CPU. Kept as a read-only float64
        (longdouble if it came so) copy.
    name
        What reports call it.

    Raises
    ------
    ValueError
        If the shape is not (N,), or the numbers are not strictly between 0 and 1 and strictly decreasing.
    """

    alphas_cumprod: Any
    name: str = "discrete-vp"

    def __post_init__(self) -> None:
        given = np.asarray(self.alphas_cumprod)
        values = given.astype(np.longdouble if given.dtype == np.longdouble else np.float64)
        _check(values)
        values.flags.writeable = False
        object.__setattr__(self, "alphas_cumprod", values)

    @cached_property
    def table(self) -> Table:
        """The steps and the cubics between them."""
        alpha_bar = self.alphas_cumprod.astype(np.longdouble)
        # The differences of neighbours are exact in longdouble, those of their logarithms are not.
        fall = np.log1p(np.diff(alpha_bar) / alpha_bar[:-1])
        return interpolate(np.log(alpha_bar), alpha_bar, 1 - alpha_bar, fall)


def _check(values: Any) -> None:
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"alphas_cumprod must have shape (N,) with N >= 2; got {values.shape}.")
    outside = ~((values > 0) & (values < 1))
    if outside.any():
        k = int(np.argmax(outside))
        raise ValueError(
            f"alphas_cumprod must lie strictly between 0 and 1; entry {k} is {values[k]}. A table rescaled "
            "to zero terminal SNR ends with 0, where log-SNR and f are infinite: drop that entry or give a "
            "small positive number instead."
        )
    rising = np.diff(values) >= 0
    if rising.any():
        k = int(np.argmax(rising))
        raise ValueError(
            f"alphas_cumprod must decrease strictly with the step; entries {k} and {k + 1} are "
            f"{values[k]} and {values[k + 1]}. (The betas or the alphas passed by mistake?)"
        )
