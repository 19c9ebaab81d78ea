"""All entries, by the part of the paper that they belong to."""

from collections.abc import Mapping
from types import MappingProxyType

from afi_properties.audit import endpoint, experiments, information, preliminaries, trace_matching, transport
from afi_properties.audit.entry import Entry

SECTIONS: Mapping[str, tuple[Entry, ...]] = MappingProxyType(
    {
        "Section 2: diffusion models and the Fisher information": preliminaries.ENTRIES,
        "Section 3, A.1 to A.4: the analytical Fisher information": information.ENTRIES,
        "Section 4, A.5 to A.7: likelihood and trace matching": trace_matching.ENTRIES,
        "Section 5, A.8, B.2 and C.6: the adjoint and the endpoint approximation": endpoint.ENTRIES,
        "Section 6, A.9 and A.10: optimal transport": transport.ENTRIES,
        "Table 1, appendices B and C, and the later version": experiments.ENTRIES,
    }
)
"""From the part of the paper to its entries, in order."""

CATALOGUE: tuple[Entry, ...] = tuple(entry for entries in SECTIONS.values() for entry in entries)
"""All of them."""
