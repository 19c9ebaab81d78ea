"""Turning a problem into the arguments of the function under test, and its answer back into numbers."""

import dataclasses
import functools
import math
import os
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from afi_properties.claim import Claim
from afi_properties.inputs import make_inputs
from afi_properties.known_jacobian import SkewEps, lopsided_eps_for, skew_eps_for
from afi_properties.problem import Array, Problem
from afi_verify import surroundings
from afi_verify.adapter import Adapter, Provided
from afi_verify.backends import Backend
from afi_verify.capture import file_name, first_line, name_of, printable
from afi_verify.epsilon import dirac_posterior, skew_epsilon
from afi_verify.errors import BrokenAnswerError
from afi_verify.forks import came_back, end_if_child_of, forks
from afi_verify.loading import MODULES
from afi_verify.time_limit import TimeUpError

_POINTS = ("x", "v", "x0", "data", "means", "eps", "loss_grad")
_NOISE = ("alpha", "sigma", "t")
_ENDS = ("t_start", "t_end")  # Python floats, always


@dataclasses.dataclass(frozen=True)
class Subject:
    """A function under test with what is needed to call it."""

    adapter: Adapter
    backend: Backend
    provided: Provided

    @property
    def dtype(self) -> str:
        """The precision that the adapter claims."""
        return self.adapter.dtype

    @property
    def claim(self) -> Claim:
        """The claim about its answers at one noise level; there is none for trajectories."""
        claim = self.provided.claim
        assert isinstance(claim, Claim)
        return claim

    def asks_for(self, *names: str) -> bool:
        """Whether the function has a parameter of one of these names."""
        return not self.provided.parameters.isdisjoint(names)

    def event_shape(self, problem: Problem) -> tuple[int, ...]:
        """Shape of one data point in the arrays handed over."""
        return self.adapter.event_shape or (problem.dimension,)


@dataclasses.dataclass(frozen=True, eq=False)
class Handed:
    """The numbers of a problem as they are handed over: rounded to the adapter's precision."""

    problem: Problem
    values: Mapping[str, Array]  # by parameter name; what a truth is computed from
    skew: SkewEps | None
    settings: Mapping[str, int] = dataclasses.field(default_factory=dict)  # "num_steps", "num_probes", "seed", if any

    @property
    def in_range(self) -> bool:
        """Whether the precision could hold every number of the problem."""
        return all(np.isfinite(value).all() for value in self.values.values())


def round_problem(subject: Subject, problem: Problem) -> Handed:
    """Round a problem's numbers to the adapter's precision, and add what is derived from them.

    ``alpha``, ``sigma`` and ``t`` stay exact where they are handed over as Python numbers. ``eps`` and
    ``head`` are exact for the rounded numbers, then rounded once themselves.
    """
    backend, dtype = subject.backend, subject.dtype

    def rounded(value: Array) -> Array:
        return backend.to_numpy(backend.array(value, dtype))

    values = {}
    for name, value in problem.values.items():
        exact = name in _NOISE and not subject.adapter.per_sample_noise
        values[name] = value if exact else rounded(value)
    if subject.asks_for("alpha_bar"):
        values["alpha_bar"] = rounded(problem.values["alpha"] ** 2)
    skew = None
    if problem.eps_kind != "exact":
        make = {"skew": skew_eps_for, "lopsided": lopsided_eps_for}[problem.eps_kind]
        skew = make(problem.values["x"], problem.values["sigma"], problem.seed)
    handed = Handed(problem, values, skew)
    if not handed.in_range or skew is not None:
        return handed
    # What overflows is found not representable later; and JAX warns where it has nothing wider than float32.
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"), backend.context(dtype):
        # From the very functions that are handed over: their own rounding is nobody's fault.
        event = subject.event_shape(problem)
        if subject.asks_for("eps_fn"):
            points, times = (_argument(subject, handed, dtype, name, values[name]) for name in ("x", "t"))
            eps = backend.to_numpy(epsilon_function(backend, handed, event)(points, times))
            values["eps"] = eps.reshape(problem.batch, problem.dimension)
        elif subject.asks_for("eps"):
            values["eps"] = rounded(make_inputs(values).eps)
        if subject.asks_for("head_fn"):
            points, times = (_argument(subject, handed, dtype, name, values[name]) for name in ("x", "t"))
            values["head"] = backend.to_numpy(head_function(backend, handed, event)(points, times))
        elif subject.asks_for("head"):
            values["head"] = rounded(make_inputs(values).second_moment / problem.dimension)
    return handed


def call(subject: Subject, handed: Handed, dtype: str, complaints: list[str] | None = None) -> Array:
    """Call the function on the numbers in ``dtype``; return its answer as NumPy numbers of shape (B, ...).

    What is wrong with the memory of the answer, however right its numbers, is added to ``complaints``.

    Raises
    ------
    BrokenAnswerError
        If the function raises, changes an argument, or returns something other than an array of the
        expected kind, shape and dtype.
    """
    backend, problem = subject.backend, handed.problem
    arguments = _arguments(subject, handed, dtype)
    answer = _invoke(subject, arguments, dtype)
    event = subject.event_shape(problem)
    expected = subject.provided.claim.answer_shape(problem.batch, event)
    try:
        wanted = "bool" if subject.provided.claim.answer == "flags" else dtype
        numbers = _read(backend, answer, expected, wanted, event)
    except BrokenAnswerError:
        raise
    except Exception as error:  # the answer is an object of somebody else's class
        raise BrokenAnswerError(
            f"Its answer, {_describe(answer)}, cannot be read: {name_of(type(error))}: {first_line(error)}."
        ) from error
    if complaints is not None:
        complaints += _complaints(subject, arguments, answer, numbers)
    return numbers.reshape(_flat_shape(expected, event))


def call_with(subject: Subject, handed: Handed, **settings: int) -> Array:
    """Call the function with settings: ``num_steps``, ``num_probes`` or ``seed``; see :func:`call`.

    Raises
    ------
    BrokenAnswerError
        If there is no answer.
    """
    return call(subject, dataclasses.replace(handed, settings=settings), subject.dtype)


def _ask(subject: Subject, arguments: Mapping[str, Any], dtype: str) -> Any:
    """Call the function; whatever it does to the process besides is put back."""
    process, children = os.getpid(), forks()
    # Warnings are not verdicts: whether they are errors must not depend on who runs the check.
    with subject.backend.context(dtype), warnings.catch_warnings(action="ignore"), surroundings.as_imported():
        before = surroundings.look()
        changed: list[str] = []
        try:
            answer = subject.provided.function(**arguments)
        except BaseException as error:  # whatever the code under test raises is a finding, not our crash
            if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                raise  # the user's
            if isinstance(error, TimeUpError):
                raise
            raise BrokenAnswerError(f"It raised {name_of(type(error))}: {first_line(error)}{_place(error)}.") from error
        finally:
            end_if_child_of(process)
            changed = surroundings.put_back(before)
    if came_back(children):
        raise BrokenAnswerError("It forked a process that returned from it, too; let the child end with os._exit.")
    if changed:
        raise BrokenAnswerError(f"It changed {'; '.join(changed)}. Whoever calls it did not ask for that.")
    return answer


def _read(backend: Backend, answer: Any, expected: tuple[int, ...], dtype: str, event: tuple[int, ...]) -> Array:
    if not backend.is_array(answer):
        raise BrokenAnswerError(
            f"It returned {_describe(answer)}; expected a {backend.name} array of shape {expected}."
        )
    if tuple(answer.shape) != expected:
        raise BrokenAnswerError(
            f"It returned shape {tuple(answer.shape)}; expected {expected} for a batch of {expected[0]} points of "
            f"shape {event}."
        )
    if dtype == "bool" and backend.dtype_name(answer) != dtype:
        raise BrokenAnswerError(f"It returned {backend.dtype_name(answer)}; expected bool: yes or no, for each point.")
    if backend.dtype_name(answer) != dtype:
        raise BrokenAnswerError(
            f"It returned {backend.dtype_name(answer)} for {dtype} arguments; make new arrays (eye, zeros, arange …) "
            "in the dtype of x, and convert nothing."
        )
    return backend.to_numpy(answer)


_MOST_REMEMBERED = 64
_earlier: dict[int, tuple[Any, Any, Array]] = {}  # a function by its id, as not each can be hashed; its answer; a copy


def _complaints(subject: Subject, arguments: Mapping[str, Any], answer: Any, numbers: Array) -> Iterator[str]:
    """Yield whose memory the answer is, where it is not its own."""
    backend, function = subject.backend, subject.provided.function
    for name, value in arguments.items():
        if backend.is_array(value) and backend.shares_memory(answer, value):
            yield f"It returned a view of its argument {name!r}; return a new array."
    _, array, earlier = _earlier.pop(id(function), (None, None, None))
    if earlier is not None and not np.array_equal(backend.to_numpy(array), earlier, equal_nan=True):
        yield (
            "Its answer changed when it was called again: it returned a view of memory that it uses again. "
            "Return a new array."
        )
    while len(_earlier) >= _MOST_REMEMBERED:
        del _earlier[next(iter(_earlier))]
    _earlier[id(function)] = function, answer, numbers


def invoke(subject: Subject, handed: Handed, dtype: str) -> Any:
    """Call the function on the numbers in ``dtype``; return whatever it returns.

    Raises
    ------
    BrokenAnswerError
        If the function raises, or changes an argument or the state of the process.
    """
    return _invoke(subject, _arguments(subject, handed, dtype), dtype)


def _invoke(subject: Subject, arguments: Mapping[str, Any], dtype: str) -> Any:
    backend = subject.backend
    arrays = {name: value for name, value in arguments.items() if backend.is_array(value)}
    before = {name: backend.to_numpy(array) for name, array in arrays.items()}
    answer = _ask(subject, arguments, dtype)
    for name, array in arrays.items():
        if not np.array_equal(backend.to_numpy(array), before[name], equal_nan=True):
            raise BrokenAnswerError(f"It changed its argument {name!r} in place; let it work on a copy.")
    return answer


def _arguments(subject: Subject, handed: Handed, dtype: str) -> dict[str, Any]:
    backend, problem, values = subject.backend, handed.problem, handed.values
    event = subject.event_shape(problem)
    makers: dict[str, Callable[[], Any]] = {
        "schedule": lambda: problem.schedule,
        "eps_fn": lambda: epsilon_function(backend, handed, event),
        "head_fn": lambda: head_function(backend, handed, event),
    }
    for name, value in values.items():
        makers[name] = functools.partial(_argument, subject, handed, dtype, name, value)
    for name, setting in handed.settings.items():
        makers[name] = functools.partial(int, setting)
    return {name: makers[name]() for name in sorted(subject.provided.parameters)}


def _argument(subject: Subject, handed: Handed, dtype: str, name: str, value: Array) -> Any:
    backend, problem = subject.backend, handed.problem
    if name in _POINTS:
        shaped = value.reshape(len(value), *subject.event_shape(problem))
        return backend.array(shaped, dtype, strided=problem.strided)
    if name in _ENDS:
        return float(value[0])
    if subject.adapter.per_sample_noise or name not in (*_NOISE, "alpha_bar"):
        return backend.array(value, dtype)
    return backend.array(value[0], dtype) if name == "alpha_bar" else float(value[0])


def epsilon_function(backend: Backend, handed: Handed, event: tuple[int, ...]) -> Callable[[Any, Any], Any]:
    """Return ``eps_fn(x, t)``: computed in float64 whatever comes in, and rounded once on the way out."""
    schedule = handed.problem.schedule

    if handed.skew is not None:
        p, q, centre = (backend.array(a, "float64") for a in dataclasses.astuple(handed.skew))

        def skewed(x: Any, t: Any) -> Any:
            flat = _flatten(backend.in_float64(x), event)
            value = skew_epsilon(flat, schedule.sigma(backend.in_float64(t)), p, q, centre, backend.tanh)
            return backend.cast_like(value.reshape(x.shape), x)

        return skewed

    atoms, log_weights = _atoms(backend, handed)

    def exact(x: Any, t: Any) -> Any:
        time = backend.in_float64(t)
        alpha, sigma = schedule.alpha(time), schedule.sigma(time)
        flat = _flatten(backend.in_float64(x), event)
        weights, differences, noise = dirac_posterior(flat, alpha, sigma, atoms, log_weights, backend.softmax)
        residual = noise - alpha[..., None] * (weights[..., None] * differences).sum(-2)
        return backend.cast_like((residual / sigma[..., None]).reshape(x.shape), x)

    return exact


def head_function(backend: Backend, handed: Handed, event: tuple[int, ...]) -> Callable[[Any, Any], Any]:
    """Return ``head_fn(x, t)``, the exact trace head ``E[|x_0|^2 | x] / d``, like :func:`epsilon_function`."""
    schedule, dimension = handed.problem.schedule, handed.problem.dimension
    atoms, log_weights = _atoms(backend, handed)
    squares = (atoms * atoms).sum(-1) / dimension

    def head(x: Any, t: Any) -> Any:
        time = backend.in_float64(t)
        alpha, sigma = schedule.alpha(time), schedule.sigma(time)
        flat = _flatten(backend.in_float64(x), event)
        weights, _, _ = dirac_posterior(flat, alpha, sigma, atoms, log_weights, backend.softmax)
        return backend.cast_like((weights * squares).sum(-1), x)

    return head


def _atoms(backend: Backend, handed: Handed) -> tuple[Any, Any]:
    weights = handed.values["weights"]
    return backend.array(handed.values["data"], "float64"), backend.array(np.log(weights), "float64")


def _flatten(x: Any, event: tuple[int, ...]) -> Any:
    leading = tuple(x.shape)[: len(x.shape) - len(event)]
    return x.reshape(*leading, math.prod(event))


def _flat_shape(shape: tuple[int, ...], event: tuple[int, ...]) -> tuple[int, ...]:
    """Shape with the event's axes as one, for the answers that have them."""
    return (shape[0], math.prod(event)) if shape[1:] == event else shape


def _place(error: BaseException) -> str:
    """Where the code under test was when it raised: its own innermost line, after the call from here."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    return f" ({file_name(frames[-1].filename)}, line {frames[-1].lineno})" if frames else ""


def _describe(answer: object) -> str:
    kind = type(answer)
    if answer is None:
        return "None"
    name, module = name_of(kind), vars(kind).get("__module__", "builtins")
    # A module that has its name from us says nothing.
    if isinstance(module, str) and module != "builtins" and not module.startswith(MODULES):
        name = f"{printable(module)[:100]}.{name}"
    return f"{'an' if name[:1] in tuple('aeiou') else 'a'} {name}"
