"""What a noise schedule is, for every part of this project that takes one."""

from typing import Any, Protocol, TypeAlias

Array: TypeAlias = Any
"""A float, or an array of floats (NumPy, torch or JAX) of any shape."""


class Schedule(Protocol):
    """The functions of time in ``x_t = alpha(t) x_0 + sigma(t) noise`` (eq. 1).

    Every method is elementwise: it takes a time (or a log-SNR) of any shape and returns the same shape,
    dtype and kind of array. Time has the unit of the schedule: the interval [0, 1] for most, steps for a
    tabulated one. Times outside [t_min, t_max] raise a ``ValueError`` for floats and NumPy arrays; torch
    and JAX arrays may be traced, so their values are never looked at.
    """

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    @property
    def t_min(self) -> float:
        """The first time, with the least noise."""
        ...

    @property
    def t_max(self) -> float:
        """The last time, with the most noise."""
        ...

    def alpha(self, t: Array) -> Array:
        """Signal scale (eq. 1)."""
        ...

    def sigma(self, t: Array) -> Array:
        """Noise scale (eq. 1), in the unit of the data."""
        ...

    def log_snr(self, t: Array) -> Array:
        """``log(alpha^2 / sigma^2)``, natural logarithm; decreasing in t."""
        ...

    def f(self, t: Array) -> Array:
        """Drift ``d log(alpha) / dt`` (eq. 2), per unit of time."""
        ...

    def g2(self, t: Array) -> Array:
        """Squared diffusion ``d sigma^2 / dt - 2 f sigma^2`` (eq. 2), per unit of time."""
        ...

    def rates(self, t: Array) -> tuple[Array, Array]:
        """``(d alpha / dt, d sigma / dt)``: the coefficients of the flow velocity."""
        ...

    def time_of_log_snr(self, lam: Array) -> Array:
        """Time at which the log-SNR is ``lam``: the inverse of ``log_snr``."""
        ...

    def noise_at_log_snr(self, lam: Array) -> tuple[Array, Array]:
        """``(alpha, sigma)`` at the log-SNR ``lam``."""
        ...
