"""The registry of the zoo: implementations that are wrong on purpose, each named after its sin.

A mutant is a function as somebody would write it who made one mistake. It lives in a module of ``mutants/`` whose name
begins with the array library that it needs, and is registered by the decorator :func:`mutant`.
"""

import functools
import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from afi_properties.diagnosis import Fault
from afi_verify import Adapter


@dataclass(frozen=True)
class Specimen:
    """A wrong implementation.

    Attributes
    ----------
    name
        The sin, unique, after the role: ``"fisher_trace/sigma_cubed"``.
    sin
        What is wrong, in one sentence.
    role, backend
        As in the adapter contract.
    family
        ``"dirac"`` or ``"gaussian-mixture"``, from what the function asks for.
    function
        The implementation; a class if it keeps a state: its instances are then called. See :meth:`new`.
    diagnosis
        The fault that a diagnosis should name, a :class:`~afi_properties.diagnosis.Fault`; empty for roles whose checks
        make none: of random estimates, of training.
    options
        Of its adapter: ``per_sample_noise``, ``event_shape``.
    dtypes
        The precisions in which it is wrong.
    smallest
        N and d that a simplest counterexample needs at most.
    only
        The one scenario whose cases can show the fault, ``"dirac"``, ``"digits"`` or ``"gaussian-mixture"``, because no
        other has weights, say, or more than 64 atoms; ``None`` where more than one can.
    """

    name: str
    sin: str
    role: str
    family: str
    backend: str
    function: Callable[..., Any]
    diagnosis: str
    options: Mapping[str, Any] = field(default_factory=dict)
    dtypes: tuple[str, ...] = ("float64", "float32")
    smallest: tuple[int, int] = (3, 3)
    only: str | None = None

    def new(self) -> Callable[..., Any]:
        """Return the implementation, as it is before its first call."""
        return _new(self.function)

    def adapter(self, dtype: str) -> Adapter:
        """Return an adapter that provides the role with a new implementation."""
        adapter = Adapter(self.name, backend=self.backend, dtype=dtype, **self.options)
        adapter.provides(self.role, self.new())
        return adapter

    def __repr__(self) -> str:
        return f"<{self.name}>"


_registered: list[Specimen] = []


def mutant(
    role: str,
    backend: str,
    sin: str,
    diagnosis: Fault | None = None,
    *,
    dtypes: tuple[str, ...] = ("float64", "float32"),
    smallest: tuple[int, int] = (3, 3),
    only: str | None = None,
    **options: Any,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that registers a function, or a class with a state, as a wrong implementation of ``role``."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        asked = inspect.signature(_new(function)).parameters
        family = "gaussian-mixture" if {"means", "covariances"} & set(asked) else "dirac"
        _registered.append(
            Specimen(
                name=f"{role}/{_in_snake_case(function.__name__)}",
                sin=sin,
                role=role,
                family=family,
                backend=backend,
                function=function,
                diagnosis=diagnosis.value if diagnosis else "",
                options=options,
                dtypes=dtypes,
                smallest=smallest,
                # Functions of a Gaussian mixture are checked in one scenario.
                only=only or ("gaussian-mixture" if family == "gaussian-mixture" else None),
            )
        )
        return function

    return register


def _new(function: Callable[..., Any]) -> Callable[..., Any]:
    return function() if inspect.isclass(function) else function


def _in_snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@functools.cache
def collect_mutants() -> tuple[Specimen, ...]:
    """Import the modules of ``mutants/`` whose array library is installed, and return what they registered."""
    for path in sorted((Path(__file__).parent / "mutants").glob("*.py")):
        library = path.stem.partition("_")[0]
        if importlib.util.find_spec(library) is not None:
            importlib.import_module(f"tests.zoo.mutants.{path.stem}")
    return tuple(_registered)


def __getattr__(name: str) -> Any:
    """Give ``MUTANTS`` when it is first asked for: the modules of the mutants import this one."""
    if name == "MUTANTS":
        return collect_mutants()
    raise AttributeError(name)
