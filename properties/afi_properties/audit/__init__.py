"""The paper on trial: one entry for each numbered statement and for each testable claim of its prose."""

from afi_properties.audit.catalogue import CATALOGUE, SECTIONS
from afi_properties.audit.entry import MEANINGS, Entry, Finding, Method, Outcome, Statement, Verdict, judge

__all__ = [
    "CATALOGUE",
    "MEANINGS",
    "SECTIONS",
    "Entry",
    "Finding",
    "Method",
    "Outcome",
    "Statement",
    "Verdict",
    "judge",
]
