"""The error bounds of Prop. 7 and 8: as printed, as corrected, and what they bound, on batches of cases."""

from afi_properties.bounds.cases import Cases, draw_cases
from afi_properties.bounds.errors import Errors, measure
from afi_properties.bounds.formulas import (
    operator_bound,
    operator_bound_by_radius,
    printed_operator_bound,
    printed_trace_bound,
    trace_bound,
)

__all__ = [
    "Cases",
    "Errors",
    "draw_cases",
    "measure",
    "operator_bound",
    "operator_bound_by_radius",
    "printed_operator_bound",
    "printed_trace_bound",
    "trace_bound",
]
