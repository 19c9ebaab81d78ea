"""Certified oracles: proven enclosures by ball arithmetic.

``CertifiedDiracMixture`` and ``CertifiedGaussianMixture`` answer as the other oracles do, except that every
answer is a ``Certified``: a float64 array and a proven bound on its error, or an honest "undecided".
"""

from afi_reference.certified.dirac import CertifiedDiracMixture
from afi_reference.certified.gaussian import CertifiedGaussianMixture
from afi_reference.certified.precision import working_precision
from afi_reference.certified.result import Certified

__all__ = ["Certified", "CertifiedDiracMixture", "CertifiedGaussianMixture", "working_precision"]
