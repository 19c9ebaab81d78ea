"""Certified oracles: proven enclosures by ball arithmetic.

``CertifiedDiracMixture`` and ``CertifiedGaussianMixture`` answer as the other oracles do, except that every
answer is a ``Certified``: a float64 array and a proven bound on its error, or an honest "undecided".
``enclose_trace_matching`` and ``enclose_endpoint_product`` do the same for formulas of numbers handed over.
"""

from afi_reference.certified.dirac import CertifiedDiracMixture
from afi_reference.certified.formulas import enclose_endpoint_product, enclose_trace_matching
from afi_reference.certified.gaussian import CertifiedGaussianMixture
from afi_reference.certified.precision import working_precision
from afi_reference.certified.result import Certified

__all__ = [
    "Certified",
    "CertifiedDiracMixture",
    "CertifiedGaussianMixture",
    "enclose_endpoint_product",
    "enclose_trace_matching",
    "working_precision",
]
