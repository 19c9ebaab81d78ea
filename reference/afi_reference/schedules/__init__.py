"""Noise schedules and the kinds of prediction, accurate at every noise level.

The relative error of alpha, sigma, f and g2 is a few ulp, plus one or two for each unit of ``|log alpha|``
or ``|log sigma|`` where the value is the exponential of a rounded number; that of log-SNR a few ulp of the
larger of 1 and its magnitude.

Floats and NumPy arrays (longdouble included) need NumPy alone; torch and JAX arrays, traced or not, go
through the same formulas by way of array-api-compat.
"""

from afi_reference.schedules.discrete import DiscreteVP
from afi_reference.schedules.flow import RectifiedFlow
from afi_reference.schedules.predictions import KINDS, Kind, convert
from afi_reference.schedules.schedule import Schedule
from afi_reference.schedules.stable_diffusion import StableDiffusion
from afi_reference.schedules.sub_variance_preserving import SubVP
from afi_reference.schedules.variance_exploding import EDM, VEGeometric
from afi_reference.schedules.variance_preserving import LogSNRLinear, VPCosine, VPLinear

__all__ = [
    "EDM",
    "KINDS",
    "DiscreteVP",
    "Kind",
    "LogSNRLinear",
    "RectifiedFlow",
    "Schedule",
    "StableDiffusion",
    "SubVP",
    "VEGeometric",
    "VPCosine",
    "VPLinear",
    "convert",
]
