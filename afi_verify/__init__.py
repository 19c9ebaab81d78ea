"""Is your code for the Fisher information of diffusion models right, and how accurate is it: verify an adapter."""

from afi_verify.adapter import Adapter
from afi_verify.errors import UnusableError
from afi_verify.runner import Report, verify

__version__ = "0.1.0"

__all__ = ["Adapter", "Report", "UnusableError", "verify"]
