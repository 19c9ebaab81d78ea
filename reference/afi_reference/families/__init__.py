"""Oracles for general data (Prop. 3 and 4): uniform laws, products, mixtures, low rank, any density.

Each is a :class:`~afi_reference.distribution.Distribution`. All but ``DensityOracle`` compute in longdouble and
round once, so that float64 answers are right to the rounding of the inputs for log-SNR in [-20, 20]; where
longdouble is no wider than float64 the formulas still lose nothing to cancellation.
"""

from afi_reference.families.box import UniformBox
from afi_reference.families.density import DensityOracle
from afi_reference.families.low_rank import LowRankGaussianMixture
from afi_reference.families.mixture import MixtureOfLaws
from afi_reference.families.product import ProductOfLaws
from afi_reference.families.segment import UniformSegment
from afi_reference.families.sphere import UniformSphere

__all__ = [
    "DensityOracle",
    "LowRankGaussianMixture",
    "MixtureOfLaws",
    "ProductOfLaws",
    "UniformBox",
    "UniformSegment",
    "UniformSphere",
]
