"""The schedule that Stable Diffusion 1 and 2 were trained with."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from afi_reference.schedules.arithmetic import positive
from afi_reference.schedules.interpolated import Column, InterpolatedVP, Table, interpolate


@dataclass(frozen=True)
class StableDiffusion(InterpolatedVP):
    """``scaled_linear``: the roots of the betas rise linearly; t in steps, from 0 to ``num_steps - 1``.

    ``alpha_bar(k)`` is the product of ``1 - beta_j`` for j <= k, so t = 0 is already one step from the
    data. This is the exact table; for the one that diffusers rounds to float32 pass its ``alphas_cumprod``
    to ``DiscreteVP``. Between the steps ``log alpha_bar`` is a monotone cubic (see ``interpolate``).

    Raises
    ------
    ValueError
        Unless ``0 < beta_start <= beta_end < 1`` and ``num_steps >= 2``.
    """

    beta_start: float = 0.00085
    beta_end: float = 0.012
    num_steps: int = 1000
    name: str = "stable-diffusion"

    def __post_init__(self) -> None:
        object.__setattr__(self, "beta_start", positive("beta_start", self.beta_start))
        object.__setattr__(self, "beta_end", positive("beta_end", self.beta_end))
        if not self.beta_start <= self.beta_end < 1:
            raise ValueError(
                "The betas must satisfy beta_start <= beta_end < 1; got "
                f"beta_start={self.beta_start}, beta_end={self.beta_end}."
            )
        if self.num_steps < 2:
            raise ValueError(f"num_steps must be at least 2; got {self.num_steps}.")

    @cached_property
    def table(self) -> Table:
        """The steps and the cubics between them."""
        ends = np.sqrt(np.array([self.beta_start, self.beta_end], dtype=np.longdouble))
        share = np.arange(self.num_steps, dtype=np.longdouble) / (self.num_steps - 1)
        fall = np.log1p(-((ends[0] * (1 - share) + ends[1] * share) ** 2))
        log_alpha_bar = _running_sum(fall)
        return interpolate(log_alpha_bar, np.exp(log_alpha_bar), -np.expm1(log_alpha_bar), fall[1:])


def _running_sum(terms: Column) -> Column:
    # Kahan's: a thousand roundings of a plain one would show in longdouble.
    sums = np.empty_like(terms)
    total = lost = np.longdouble(0)
    for k, term in enumerate(terms):
        total, before = total + (term - lost), total
        lost = (total - before) - (term - lost)
        sums[k] = total
    return sums
