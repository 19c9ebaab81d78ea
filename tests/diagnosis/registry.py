"""Wrong implementations that the diagnosis was not made for: sets of them, and how a function gets into one.

``first`` (:mod:`tests.diagnosis.held_out`) has been looked at since it was written. ``second`` (``others_*.py``) was
written before the hypotheses were read again, by the project's list of sins, without a look into the zoo and in the
styles of other people: loops, einsum, expanded squares, torch and JAX with automatic differentiation, casts. Where two
names are both right, both families are. ``trajectories`` was written before there was a diagnosis of trajectories,
``trajectories-after`` after it, and it was not changed for them.
"""

import dataclasses
import importlib
import importlib.util
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

from afi_properties.diagnosis import Family, Fault
from afi_verify import Adapter

MODULES = {
    "first": ("held_out",),
    "second": ("others_numpy", "others_torch", "others_jax"),
    "trajectories": ("held_out_flows",),
    "trajectories-after": ("others_flows",),
}
"""By set; a name that ends in a library's is imported where that is installed."""


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """A wrong implementation, the fault that a diagnosis should name, and the families that are right."""

    role: str
    function: Callable[..., Any]
    fault: Fault
    others: frozenset[Family] = frozenset()
    """Families that are right, too."""
    backend: str = "numpy"
    dtypes: tuple[str, ...] = ("float64", "float32")
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """The sin, after the role."""
        return f"{self.role}/{self.function.__name__}"

    @property
    def family(self) -> str:
        """The family of data that it asks for."""
        return "gaussian-mixture" if "means" in inspect.signature(self._new()).parameters else "dirac"

    def adapter(self, dtype: str = "float64") -> Adapter:
        """An adapter that provides it, as it is before its first call."""
        adapter = Adapter(self.name, backend=self.backend, dtype=dtype, **self.options)
        adapter.provides(self.role, self._new())
        return adapter

    def _new(self) -> Callable[..., Any]:
        return self.function() if inspect.isclass(self.function) else self.function


_registered: dict[str, list[HeldOut]] = {}


def wrong(
    role: str,
    fault: Fault,
    families: Collection[Family] = (),
    *,
    backend: str = "numpy",
    dtypes: tuple[str, ...] = ("float64", "float32"),
    **options: Any,
) -> Any:
    """Return a decorator that registers a function, or a class with a state.

    Parameters
    ----------
    fault
        What a diagnosis should name.
    families
        Those that are right, too, beside the family of ``fault``.
    dtypes
        The precisions in which it is wrong.
    options
        Of its adapter.
    """

    def register(function: Any) -> Any:
        animal = HeldOut(role, function, fault, frozenset(families), backend, dtypes, options)
        _registered.setdefault(function.__module__, []).append(animal)
        return function

    return register


def collect(which: str) -> list[HeldOut]:
    """Import a set, as far as its array libraries are installed."""
    animals = []
    for module in MODULES[which]:
        library = module.rpartition("_")[2]
        if library in ("torch", "jax") and importlib.util.find_spec(library) is None:
            continue
        importlib.import_module(f"tests.diagnosis.{module}")
        animals += _registered[f"tests.diagnosis.{module}"]
    return animals
