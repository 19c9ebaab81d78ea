"""Quantities along the probability-flow ODE (eq. 5 and 6), for any distribution and any schedule.

The map from one time to another, its Jacobian, the adjoint state and the change of variables: in closed form
for a Gaussian, by integration of high order otherwise, and always with an estimate of the error.
"""

from afi_reference.flow.closed_form import GaussianFlow
from afi_reference.flow.equation import FlowEquation
from afi_reference.flow.frame import Frame
from afi_reference.flow.integrated import IntegratedFlow
from afi_reference.flow.integrator import FlowError
from afi_reference.flow.level import Level
from afi_reference.flow.oracle import FlowOracle
from afi_reference.flow.result import FlowResult

__all__ = [
    "FlowEquation",
    "FlowError",
    "FlowOracle",
    "FlowResult",
    "Frame",
    "GaussianFlow",
    "IntegratedFlow",
    "Level",
]
