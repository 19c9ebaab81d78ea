"""Array libraries behind one small interface; each is imported only when an adapter names it."""

import contextlib
import importlib
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from afi_verify.errors import UnusableError

Array = npt.NDArray[Any]

BACKENDS = ("numpy", "torch", "jax")
DTYPES = ("float64", "float32", "float16", "bfloat16")


class Backend(Protocol):
    """What the harness needs of an array library."""

    name: str

    def array(self, values: Array, dtype: str, *, strided: bool = False) -> Any:
        """Return a fresh array of ``dtype``; with ``strided``, one that is not contiguous."""
        ...

    def is_array(self, value: Any) -> bool:
        """Whether ``value`` is an array of this library."""
        ...

    def shares_memory(self, one: Any, other: Any) -> bool:
        """Whether writing to one array can change the other."""
        ...

    def dtype_name(self, array: Any) -> str:
        """Name of the dtype, for example ``"float32"``."""
        ...

    def to_numpy(self, array: Any) -> Array:
        """Return the numbers of ``array`` as float64, or longdouble."""
        ...

    def in_float64(self, value: Any) -> Any:
        """Return a differentiable cast to float64, of an array or a number (or the widest there is)."""
        ...

    def softmax(self, logits: Any) -> Any:
        """Softmax over the last axis."""
        ...

    def tanh(self, value: Any) -> Any:
        """Hyperbolic tangent."""
        ...

    def cast_like(self, value: Any, like: Any) -> Any:
        """Return ``value`` in the dtype of ``like``."""
        ...

    def context(self, dtype: str) -> contextlib.AbstractContextManager[Any]:
        """Whatever must be switched on around a call in ``dtype``."""
        ...


class NumpyBackend:
    """NumPy, on the CPU."""

    name = "numpy"

    def array(self, values: Array, dtype: str, *, strided: bool = False) -> Any:
        with np.errstate(over="ignore"):  # what is out of range is found, and left out, by those who ask
            array = np.array(values, dtype=dtype)
        return _every_second(np.repeat(array, 2, axis=-1)) if strided and array.ndim > 1 else array

    def is_array(self, value: Any) -> bool:
        return type(value) is np.ndarray  # masked arrays and matrices mean something else by the same numbers

    def shares_memory(self, one: Any, other: Any) -> bool:
        return np.may_share_memory(one, other)

    def dtype_name(self, array: Any) -> str:
        return "longdouble" if array.dtype == np.longdouble else str(array.dtype)

    def to_numpy(self, array: Any) -> Array:
        return np.array(array, dtype=np.longdouble if array.dtype == np.longdouble else np.float64)

    def in_float64(self, value: Any) -> Any:
        array = np.asarray(value)
        return array if array.dtype == np.longdouble else array.astype(np.result_type(array.dtype, np.float64))

    def softmax(self, logits: Any) -> Any:
        # The real part: code under test may differentiate by complex steps.
        exponentials = np.exp(logits - logits.real.max(axis=-1, keepdims=True))
        return exponentials / exponentials.sum(axis=-1, keepdims=True)

    def tanh(self, value: Any) -> Any:
        return np.tanh(value)

    def cast_like(self, value: Any, like: Any) -> Any:
        return value if np.iscomplexobj(value) else value.astype(np.asarray(like).dtype)

    def context(self, dtype: str) -> contextlib.AbstractContextManager[Any]:
        # The harness may have told NumPy to raise; the code under test gets NumPy's own defaults.
        return np.errstate(divide="warn", over="warn", under="ignore", invalid="warn")


class TorchBackend:
    """PyTorch, on a device."""

    name = "torch"

    def __init__(self, device: str) -> None:
        self._torch = _import("torch")
        try:
            self._device = self._torch.device(device)
            self._torch.zeros(1, device=self._device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise UnusableError(f"device={device!r} cannot be used by torch here: {reason}") from None

    def array(self, values: Array, dtype: str, *, strided: bool = False) -> Any:
        array = self._torch.tensor(np.asarray(values, dtype=np.float64), device=self._device)
        array = array.to(getattr(self._torch, dtype))
        return _every_second(array.repeat_interleave(2, dim=-1)) if strided and array.ndim > 1 else array

    def is_array(self, value: Any) -> bool:
        return isinstance(value, self._torch.Tensor)

    def shares_memory(self, one: Any, other: Any) -> bool:
        return bool(one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr() != 0)

    def dtype_name(self, array: Any) -> str:
        return str(array.dtype).removeprefix("torch.")

    def to_numpy(self, array: Any) -> Array:
        return np.array(array.detach().to("cpu", self._torch.float64).numpy())

    def in_float64(self, value: Any) -> Any:
        if self.is_array(value):
            return value.to(self._torch.float64)
        return self._torch.tensor(value, dtype=self._torch.float64, device=self._device)

    def softmax(self, logits: Any) -> Any:
        return self._torch.softmax(logits, -1)

    def tanh(self, value: Any) -> Any:
        return self._torch.tanh(value)

    def cast_like(self, value: Any, like: Any) -> Any:
        return value.to(like.dtype)

    def context(self, dtype: str) -> contextlib.AbstractContextManager[Any]:
        return contextlib.nullcontext()


class JaxBackend:
    """JAX; 64-bit numbers are switched on only around code that works in them."""

    name = "jax"

    def __init__(self, device: str) -> None:
        self._jax = _import("jax")
        self._jnp = importlib.import_module("jax.numpy")
        try:
            self._device = self._jax.devices(device)[0]
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise UnusableError(f"device={device!r} cannot be used by JAX here: {reason}") from None

    def array(self, values: Array, dtype: str, *, strided: bool = False) -> Any:
        with self.context(dtype):  # every JAX array is contiguous
            return self._jax.device_put(self._jnp.asarray(np.asarray(values, np.float64), dtype), self._device)

    def is_array(self, value: Any) -> bool:
        return isinstance(value, self._jax.Array)

    def shares_memory(self, one: Any, other: Any) -> bool:
        return False  # nobody can write to them

    def dtype_name(self, array: Any) -> str:
        return str(array.dtype)

    def to_numpy(self, array: Any) -> Array:
        return np.array(array).astype(np.float64)

    def in_float64(self, value: Any) -> Any:
        # float32 where 64 bits are off: JAX then knows nothing wider.
        return self._jnp.asarray(value, self._jax.dtypes.canonicalize_dtype(np.float64))

    def softmax(self, logits: Any) -> Any:
        return self._jax.nn.softmax(logits, axis=-1)

    def tanh(self, value: Any) -> Any:
        return self._jnp.tanh(value)

    def cast_like(self, value: Any, like: Any) -> Any:
        return value.astype(like.dtype)

    def context(self, dtype: str) -> contextlib.AbstractContextManager[Any]:
        enable: Callable[[bool], contextlib.AbstractContextManager[Any]]
        if hasattr(self._jax, "enable_x64"):
            enable = self._jax.enable_x64
        else:
            enable = importlib.import_module("jax.experimental").enable_x64
        return enable(dtype == "float64")


def load_backend(name: str, dtype: str, device: str) -> Backend:
    """Return the backend called ``name``, ready for ``dtype`` on ``device``.

    Raises
    ------
    UnusableError
        If the name, dtype or device is unknown, or the library is not installed.
    """
    if name not in BACKENDS:
        raise UnusableError(f"backend={name!r} is not known; choose one of {', '.join(BACKENDS)}.")
    if dtype not in DTYPES:
        raise UnusableError(f"dtype={dtype!r} is not known; choose one of {', '.join(DTYPES)}.")
    if name == "torch":
        return TorchBackend(device)
    if name == "jax":
        return JaxBackend(device)
    if dtype == "bfloat16":
        raise UnusableError("NumPy has no bfloat16; choose float16, or backend='torch'.")
    if device != "cpu":
        raise UnusableError(f"device={device!r} cannot be used by NumPy; leave it out.")
    return NumpyBackend()


def _every_second(array: Any) -> Any:
    return array[..., ::2]


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UnusableError(
            f"backend={name!r} needs {name}, which cannot be imported ({error}). "
            f"Install it, for example with: pip install 'afi-verify[{name}]'"
        ) from None
