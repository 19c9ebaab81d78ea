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
from enum import StrEnum
from pathlib import Path
from typing import Any

from afi_verify import Adapter


class Fault(StrEnum):
    """Families of faults: what a diagnosis should be able to name."""

    POWER_OF_ALPHA = "power of alpha"  # alpha missing, or to the wrong power
    POWER_OF_SIGMA = "power of sigma"  # sigma missing, or to the wrong power
    ALPHA_BAR = "alpha^2 for alpha"  # alphas_cumprod taken for alpha, or half of log-SNR for it
    PREDICTION_TYPE = "prediction type"  # epsilon, x_0, v and score taken for one another
    SCHEDULE = "schedule"  # noise of another schedule than the one that was asked for
    TIMESTEP = "timestep off by one"
    SIGN = "sign"
    TERM_DROPPED = "term dropped"
    TERM_DOUBLED = "term doubled"
    TERM_ADDED = "term added"  # one that does not belong there
    ONE_OVER_D = "1/d"  # a factor d too many or missing
    CONSTANT = "constant factor"  # a factor that depends on nothing, or on N alone
    TRANSPOSED = "transposed"
    DIAGONAL = "diagonal"  # another part or norm of a matrix than its trace
    WEIGHTS_IGNORED = "weights ignored"
    WEIGHTS_WRONG = "weights wrong"  # the right weights to a wrong power, or other ones
    WEIGHTS_UNNORMALISED = "weights unnormalised"
    LOG_DETERMINANT = "log-determinant"
    COVARIANCES = "component covariances"  # those of a mixture's components left out, or others
    UNDERFLOW = "underflow"  # exponentials without their maximum subtracted
    CLIPPED = "clipped"  # a number kept within bounds that it can rightly leave
    EPSILON = "epsilon in denominator"  # a small number added to a divisor, or to a diagonal
    TRUNCATED = "truncated"  # some of the atoms for all of them
    STRUCTURE = "structure assumed"  # a covariance taken for diagonal, circulant, of low rank
    WRONG_AXIS = "wrong axis"
    BATCH = "batch mixed up"  # an answer depends on the other points of its batch
    BATCH_NOISE = "per-batch noise"  # one noise level for all points of a batch
    BROADCASTING = "broadcasting"  # wrong for some coincidence of sizes
    ORDER = "order of atoms"
    DUPLICATES = "duplicated atoms"
    MINIBATCH = "mini-batch mean"  # mini-batches of atoms put together with wrong weights
    STATE = "state"  # an answer depends on earlier calls
    ARGUMENT_CHANGED = "argument changed"
    STRIDES = "strides"  # arrays taken for contiguous
    LOW_PRECISION = "low precision"  # the right formula in a lower precision than the arguments'
    CANCELLATION = "cancellation"  # digits that two large terms share
    STEP = "finite difference"  # a derivative by a step that does not fit
    ESTIMATE = "estimate for exact"  # a random estimate where a number is asked for
    DETACHED = "gradient cut"  # a part of a function taken as a constant when it is differentiated
    DIMENSION = "regime: dimension"  # right in few dimensions only
    OFFSET = "regime: offset"  # right for centred data only
    NOISE = "regime: noise"  # right in a part of the noise range only
    SIZE = "regime: size"  # right for some N or B only


FAULTS: tuple[str, ...] = tuple(fault.value for fault in Fault)


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
        The fault that a diagnosis should name, one of :data:`FAULTS`.
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
    diagnosis: Fault,
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
                diagnosis=diagnosis.value,
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
