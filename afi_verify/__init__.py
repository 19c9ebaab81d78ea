"""afi-verify: is your code for the Fisher information of diffusion models right, and how accurate is it?"""

__version__ = "0.1.0"
