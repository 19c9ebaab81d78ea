"""Certified oracles: proven enclosures by ball arithmetic.

``CertifiedDiracMixture`` and ``CertifiedGaussianMixture`` answer as the other oracles do, except that every
answer is a ``Certified``: a float64 array and a proven bound on its error, or an honest "undecided".
``enclose_transport`` does the same for the probability-flow ODE of a few atoms, ``enclose_trace_matching`` and
``enclose_endpoint_product`` for formulas of numbers handed over.
"""

from afi_reference.certified.dirac import CertifiedDiracMixture
from afi_reference.certified.flow import CertifiedTransport, enclose_transport
from afi_reference.certified.formulas import enclose_endpoint_product, enclose_trace_matching
from afi_reference.certified.gaussian import CertifiedGaussianMixture
from afi_reference.certified.precision import working_precision
from afi_reference.certified.result import Certified

__all__ = [
    "Certified",
    "CertifiedDiracMixture",
    "CertifiedGaussianMixture",
    "CertifiedTransport",
    "enclose_endpoint_product",
    "enclose_trace_matching",
    "enclose_transport",
    "working_precision",
]
