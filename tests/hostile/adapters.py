"""Adapters that do what no function should. Each has its verdict and cause in tests/hostile/test_hostile.py."""

import builtins
import ctypes
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import warnings

import numpy as np

from afi_verify import Adapter

ADAPTERS = []


def right(x, alpha, sigma, eps):
    return (x - sigma * eps) / alpha


def hostile(function, name=None):
    # In two dimensions: what it does besides is the same in thousands, and takes longer.
    adapter = Adapter(name or function.__name__.replace("_", " "), event_shape=(2,))
    adapter.provides("posterior_mean", function)
    ADAPTERS.append(adapter)
    return function


def doing(name, action):
    """An adapter that is right, and does something besides."""

    def besides(x, alpha, sigma, eps):
        action()
        return right(x, alpha, sigma, eps)

    hostile(besides, name)


def returning(name, make):
    """An adapter that returns something made of the right answer."""

    def returns(x, alpha, sigma, eps):
        return make(right(x, alpha, sigma, eps))

    hostile(returns, name)


def raising(name, make):
    def throw():
        raise make()

    doing(name, throw)


hostile(right, "innocent, first")

# It dies.
doing("segmentation fault", lambda: ctypes.string_at(0))
doing("abort", os.abort)
doing("os._exit", lambda: os._exit(3))
doing("sys.exit", lambda: sys.exit(0))


# It does not end.
@hostile
def infinite_loop(x, alpha, sigma, eps):
    while True:
        pass


def hang():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    ctypes.CDLL(None).sleep(1000)


doing("hangs in C and ignores signals", hang)
doing("stops itself", lambda: os.kill(os.getpid(), signal.SIGSTOP))


# It takes all memory.
@hostile
def memory_bit_by_bit(x, alpha, sigma, eps):
    hoard = []
    while True:
        hoard.append(np.ones(2**21))
        time.sleep(0.001)


doing("memory at once", lambda: np.ones(2**50))


# It has children.
@hostile
def child_returns(x, alpha, sigma, eps):
    os.fork()
    return right(x, alpha, sigma, eps)


@hostile
def child_raises(x, alpha, sigma, eps):
    if os.fork() == 0:
        raise ValueError
    return right(x, alpha, sigma, eps)


forked = []


def fork_once():
    if not forked:
        forked.append(1)
        if os.fork() == 0:
            time.sleep(1000)


doing("child goes on", fork_once)


def orphan():
    if os.fork() == 0:
        time.sleep(1000)
    os._exit(5)


doing("dies and leaves a child", orphan)
doing("leaves a thread", lambda: threading.Thread(target=time.sleep, args=(1000,)).start())


# It prints.
@hostile
def flood(x, alpha, sigma, eps):
    for _ in range(20):
        sys.stdout.write("out " * 2**12)
        os.write(2, b"err " * 2**12)
    raise ValueError("after the flood")


doing("closes standard output", lambda: os.close(1))
doing("closes standard error", lambda: os.close(2))
doing("closes sys.stdout", lambda: sys.stdout.close())
doing("replaces sys.stderr", lambda: setattr(sys, "stderr", None))
doing("closes all files", lambda: os.closerange(3, 256))

# It changes the state of the process.
doing("changes the folder", lambda: os.chdir("/"))


def delete_folder():
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    shutil.rmtree(folder)


doing("deletes the folder", delete_folder)
doing("NumPy's error state", lambda: np.seterr(all="raise"))
doing("changes a variable", lambda: os.environ.update(PATH="/nowhere"))
doing("adds a variable", lambda: os.environ.update(AFI_NEW="1"))
doing("signal handler", lambda: signal.signal(signal.SIGALRM, signal.SIG_IGN))
doing("patches NumPy", lambda: setattr(np, "einsum", print))
doing("patches Python", lambda: setattr(builtins, "sum", max))
doing("seeds", lambda: np.random.seed(0))  # noqa: NPY002
doing("warnings are errors", lambda: warnings.simplefilter("error"))
doing("warns", lambda: warnings.warn("look", stacklevel=1))


# Arrays.
@hostile
def mutates(x, alpha, sigma, eps):
    x -= sigma * eps
    x /= alpha
    return x.copy()


@hostile
def returns_its_input(x, alpha, sigma, eps):
    return x[:]


buffers = {}


@hostile
def reuses_a_buffer(x, alpha, sigma, eps):
    buffer = buffers.setdefault("it", np.empty(10**6))
    answer = buffer[: x.size].reshape(x.shape)
    answer[...] = right(x, alpha, sigma, eps)
    return answer


@hostile
def not_deterministic(x, alpha, sigma, eps):
    return right(x, alpha, sigma, eps) * (1 + 1e-3 * np.random.random())  # noqa: NPY002


class Subclass(np.ndarray):
    def __array__(self, *arguments, **options):
        raise RuntimeError("no")


class Faker:
    @property
    def shape(self):
        raise RuntimeError("no")


returning("generator", lambda answer: (row for row in answer))
returning("None", lambda answer: None)
returning("string", str)
returning("list", lambda answer: answer.tolist())


def lazily(answer):
    import dask.array

    return dask.array.from_array(answer)


returning("lazy array", lazily)
returning("object array", lambda answer: answer.astype(object))
returning("huge array", lambda answer: np.zeros((2**20, 64)))
returning("NaN", lambda answer: answer * np.nan)
returning("float32", lambda answer: answer.astype(np.float32))
returning("complex", lambda answer: answer + 0j)
returning("masked array", lambda answer: np.ma.masked_invalid(answer))
returning("matrix", lambda answer: np.matrix(answer))
returning("subclass", lambda answer: answer.view(Subclass))
returning("faker", lambda answer: Faker())


# Exceptions.
class UnreadableError(Exception):
    def __str__(self):
        raise RuntimeError


class Unusual(BaseException):
    pass


def recurse():
    recurse()


raising("unreadable exception", UnreadableError)
raising("BaseException", lambda: Unusual("rare"))
raising("KeyboardInterrupt", KeyboardInterrupt)
raising("GeneratorExit", GeneratorExit)
doing("recursion", recurse)
raising("message with markup", lambda: ValueError("[red]<script>alert(1)</script>\x1b[2J"))
hostile(lambda x, alpha, sigma, eps: None, "<b>[red]name[/red]</b>")

hostile(right, "innocent, last")
