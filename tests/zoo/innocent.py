"""Right implementations that look unusual: who is accused wrongly, a user stops believing."""

import dataclasses
from collections.abc import Callable
from typing import Any

from afi_verify import Adapter

Function = Callable[..., Any]

BOTH = ("float64", "float32")


@dataclasses.dataclass(frozen=True)
class Innocent:
    """A right implementation of one role.

    Attributes
    ----------
    unusual
        What is unusual about it, as a phrase.
    expected
        ``"pass"``, or ``"inaccurate"`` where the formula is right and loses digits that could have been kept.
    """

    name: str
    role: str
    unusual: str
    backend: str
    function: Function
    dtypes: tuple[str, ...]
    expected: str
    options: dict[str, Any]

    def build(self, dtype: str) -> Adapter:
        """Return an adapter that provides the function in ``dtype``."""
        adapter = Adapter(self.name, backend=self.backend, dtype=dtype, **self.options)
        adapter.source = self.function.__module__
        adapter.provides(self.role, self.function)
        return adapter


INNOCENTS: dict[str, Innocent] = {}
"""By name; filled by the modules in ``innocents/``."""

INACCURATE: dict[str, Innocent] = {}
"""Right formulas that lose digits: neither to be called wrong nor to be passed."""


def innocent(
    name: str,
    role: str,
    unusual: str,
    *,
    backend: str = "numpy",
    dtypes: tuple[str, ...] = BOTH,
    **options: Any,
) -> Callable[[Function], Function]:
    """Register the decorated function among the ``INNOCENTS``; ``options`` are the adapter's."""
    return _into(INNOCENTS, name, role, unusual, backend, dtypes, "pass", options)


def loses_digits(
    name: str,
    role: str,
    unusual: str,
    *,
    backend: str = "numpy",
    dtypes: tuple[str, ...] = BOTH,
    **options: Any,
) -> Callable[[Function], Function]:
    """Register the decorated function as ``INACCURATE``; ``dtypes`` are those in which it shows."""
    return _into(INACCURATE, name, role, unusual, backend, dtypes, "inaccurate", options)


def _into(
    registry: dict[str, Innocent],
    name: str,
    role: str,
    unusual: str,
    backend: str,
    dtypes: tuple[str, ...],
    expected: str,
    options: dict[str, Any],
) -> Callable[[Function], Function]:
    def register(function: Function) -> Function:
        if name in INNOCENTS or name in INACCURATE:
            raise ValueError(f"Two right implementations are called {name!r}.")
        registry[name] = Innocent(name, role, unusual, backend, function, dtypes, expected, options)
        return function

    return register
