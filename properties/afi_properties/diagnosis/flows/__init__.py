"""What explains a wrong trajectory: flows, integrals and equations with one mistake each, followed numerically."""

from afi_properties.diagnosis.flows.search import FlowExhibit, explain_flow

__all__ = ["FlowExhibit", "explain_flow"]
