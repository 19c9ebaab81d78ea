"""What a formula sees of a case: the numbers that were handed over, and the law behind them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from afi_properties.known_jacobian import SkewEps
from afi_properties.problem import Array
from afi_properties.rounding import Rounder
from afi_reference.dirac import DiracMixture
from afi_reference.gaussian import GaussianMixture

_NO_NOISE = 1e-200
_NUMBERS = ("x", "alpha", "sigma", "v", "x0", "handed_eps", "handed_head")


@dataclasses.dataclass(frozen=True, eq=False)
class Inputs:
    """The arguments of a formula: points and noise (B,), and what else its claim speaks of.

    ``eps`` and ``head`` are the numbers handed over, when the implementation asked for them; a formula falls
    back on the law where they are missing.
    """

    law: DiracMixture | GaussianMixture
    x: Array
    alpha: Array
    sigma: Array
    v: Array
    x0: Array
    handed_eps: Array | None = None
    handed_head: Array | None = None
    skew: SkewEps | None = None  # what plays epsilon instead of the exact one, in the autodiff claims

    def in_dtype(self, dtype: npt.DTypeLike) -> "Inputs":
        """Return the same inputs with the numbers in ``dtype``; the law keeps its own, and computes in the wider."""
        numbers: dict[str, Any] = {name: getattr(self, name) for name in _NUMBERS}
        cast: dict[str, Any] = {
            name: np.asarray(value, dtype=dtype) for name, value in numbers.items() if value is not None
        }
        return dataclasses.replace(self, **cast)

    @property
    def dimension(self) -> int:
        """Dimension d."""
        return int(self.x.shape[1])

    @property
    def eps(self) -> Array:
        """The epsilon handed over, or the exact one, shape (B, d)."""
        if self.handed_eps is not None:
            return self.handed_eps
        return -self.sigma[:, None] * self.law.score(self.x, self.alpha, self.sigma)

    @property
    def predicted_mean(self) -> Array:
        """``(x - sigma eps) / alpha`` where epsilon was handed over, else the posterior mean, shape (B, d)."""
        if self.handed_eps is not None:
            return (self.x - self.sigma[:, None] * self.handed_eps) / self.alpha[:, None]
        return self.law.posterior_mean(self.x, self.alpha, self.sigma)

    @property
    def second_moment(self) -> Array:
        """``d * head`` where the head was handed over, else ``E[|x_0|^2 | x]``, shape (B,)."""
        if self.handed_head is not None:
            return self.dimension * self.handed_head
        return self.law.posterior_second_moment(self.x, self.alpha, self.sigma)


def noise_of(values: Mapping[str, Array]) -> tuple[Array, Array]:
    """Return alpha and sigma, (B,) each: those of ``alpha_bar`` where it is present.

    Rounding may leave an ``alpha_bar`` of 0 or 1, which has no Fisher information; what is returned for it is positive,
    and so small that no precision represents what follows from it.
    """
    if "alpha_bar" not in values:
        return values["alpha"], values["sigma"]
    alpha_bar = values["alpha_bar"]
    return np.sqrt(np.maximum(alpha_bar, _NO_NOISE)), np.sqrt(np.maximum(1 - alpha_bar, _NO_NOISE))


def make_inputs(
    values: Mapping[str, Array],
    *,
    skew: SkewEps | None = None,
    rounder: Rounder | None = None,
) -> Inputs:
    """Build the inputs of a formula from arrays by their names in the adapter contract.

    Weights are normalised: a posterior does not depend on their scale, and rounded weights sum to 1 only
    nearly. ``alpha_bar`` takes the place of ``alpha`` and ``sigma`` where it is present. ``rounder`` is applied
    to what has to be rounded on the way to any answer: the squared distances, the posterior mean of Diracs,
    the diffused covariances, their log determinants and the scores of a mixture's components, and the coefficients
    of ``skew``.
    """
    weights = values["weights"] / values["weights"].sum()
    law: DiracMixture | GaussianMixture
    round_distances = None if rounder is None else rounder.of_sum(values["x"].shape[1])
    if "data" in values:
        round_mean = None if rounder is None else rounder.of_sum(len(weights))
        law = DiracMixture(values["data"], weights, round_distances, round_mean)
    else:
        law = GaussianMixture(values["means"], values["covariances"], weights, round_distances, rounder)
    alpha, sigma = noise_of(values)
    if skew is not None and rounder is not None:
        skew = dataclasses.replace(skew, p=rounder(skew.p), q=rounder(skew.q))
    return Inputs(
        law=law,
        x=values["x"],
        alpha=alpha,
        sigma=sigma,
        v=values["v"],
        x0=values["x0"],
        handed_eps=values.get("eps"),
        handed_head=values.get("head"),
        skew=skew,
    )
