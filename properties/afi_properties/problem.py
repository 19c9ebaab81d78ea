"""A case: one batched problem instance, before anything is rounded to somebody's precision."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from afi_reference.schedules import Schedule

Array = npt.NDArray[Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """One batched problem instance in float64.

    ``values`` holds, by the names of the adapter contract, ``x``, ``v``, ``x0`` (B, d), ``t``, ``alpha``,
    ``sigma`` (B,), and either ``data`` (N, d) or ``means`` (K, d) and ``covariances`` (K, d, d), with
    ``weights``.
    """

    scenario: str  # "dirac", "gaussian-mixture", "digits"
    description: str  # geometry and noise, in a few words
    schedule: Schedule
    values: Mapping[str, Array]
    eps_kind: str = "exact"  # which function of known Jacobian plays epsilon: "exact", "skew" or "lopsided"
    strided: bool = False  # hand over arrays that are not contiguous
    seed: int = 0  # of the random roundings
    id: str | None = None  # names exactly these numbers: see afi_properties.strategies.problem_from_id

    @property
    def batch(self) -> int:
        """Number of points B."""
        return len(self.values["x"])

    @property
    def dimension(self) -> int:
        """Dimension d of a point."""
        return int(self.values["x"].shape[1])

    @property
    def atoms(self) -> int:
        """Number of atoms, or of mixture components; 0 where the data are unknown."""
        return next((len(self.values[name]) for name in ("data", "means") if name in self.values), 0)

    @property
    def log_snr(self) -> Array:
        """``log(alpha^2 / sigma^2)`` per point, shape (B,)."""
        return 2 * (np.log(self.values["alpha"]) - np.log(self.values["sigma"]))

    @property
    def shares_noise(self) -> bool:
        """Whether all points have one noise level, so that ``alpha`` and ``sigma`` can be numbers."""
        return bool((self.values["t"] == self.values["t"][0]).all())

    def __repr__(self) -> str:
        atoms = f"{'K' if 'means' in self.values else 'N'}={self.atoms}, " if self.atoms else ""
        return (
            f"{self.scenario}: {self.description}; B={self.batch}, {atoms}d={self.dimension}, "
            f"log-SNR={self.log_snr[0]:.3g}"
        )
