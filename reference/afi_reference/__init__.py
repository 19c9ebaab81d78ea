"""Oracles for the Fisher information of diffused distributions, of stated accuracy.

Importing this needs NumPy alone. ``afi_reference.certified`` (python-flint) and ``afi_reference.symbolic`` (SymPy) are
imported by those who use them.
"""

from afi_reference.dirac import DiracMixture
from afi_reference.distribution import Distribution
from afi_reference.gaussian import GaussianMixture, gaussian

__all__ = ["DiracMixture", "Distribution", "GaussianMixture", "gaussian"]
