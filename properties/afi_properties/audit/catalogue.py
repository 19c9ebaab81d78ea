"""All entries, by the part of the paper that they belong to."""

from collections.abc import Mapping
from types import MappingProxyType

from afi_properties.audit import information, preliminaries
from afi_properties.audit.entry import Entry

SECTIONS: Mapping[str, tuple[Entry, ...]] = MappingProxyType(
    {
        "Section 2: diffusion models and the Fisher information": preliminaries.ENTRIES,
        "Section 3, A.1 to A.4: the analytical Fisher information": information.ENTRIES,
    }
)
"""From the part of the paper to its entries, in order."""

CATALOGUE: tuple[Entry, ...] = tuple(entry for entries in SECTIONS.values() for entry in entries)
"""All of them."""
