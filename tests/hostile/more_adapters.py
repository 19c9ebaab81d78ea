"""More adapters that do what no function should; see adapters.py."""

import asyncio
import atexit
import ctypes
import faulthandler
import gc
import json
import locale
import os
import pathlib
import resource
import signal
import sys
import tempfile
import threading
import time

import numpy as np

from afi_verify import Adapter

ADAPTERS = []


def hostile(function, name):
    adapter = Adapter(name)
    adapter.provides("posterior_mean", function)
    ADAPTERS.append(adapter)
    return adapter


def right(x, alpha, sigma, eps):
    return (x - sigma * eps) / alpha


def doing(name, action):
    def besides(x, alpha, sigma, eps):
        action()
        return right(x, alpha, sigma, eps)

    return hostile(besides, name)


def returning(name, make):
    return hostile(lambda x, alpha, sigma, eps: make(right(x, alpha, sigma, eps)), name)


hostile(right, "innocent, first")

# It reaches for other processes.
doing("kills its parent", lambda: os.kill(os.getppid(), signal.SIGKILL))
doing("kills its process group", lambda: os.killpg(0, signal.SIGKILL))


def demon():
    """Leave a process behind that has no parent and is in a session of its own."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            pathlib.Path("demon.pid").write_text(str(os.getpid()))
            time.sleep(1000)
        os._exit(0)
    os.wait()
    while not os.path.exists("demon.pid"):  # noqa: PTH110
        time.sleep(0.01)


once = []
doing("leaves a demon", lambda: once or (once.append(1), demon()))


# It acts later, when another check may run.
def later(action):
    def act():
        time.sleep(0.3)
        action()

    threading.Thread(target=act, daemon=True).start()


doing("a thread ends the process later", lambda: later(lambda: os._exit(4)))
doing("a thread raises SystemExit", lambda: threading.Thread(target=sys.exit).start())
doing("sets the alarm clock", lambda: signal.alarm(1))
doing("sets the fault handler's clock", lambda: faulthandler.dump_traceback_later(0.5, exit=True))
doing("registers for the end", lambda: atexit.register(os._exit, 9))

# It changes what others use.
doing("lowers the limit of recursion", lambda: sys.setrecursionlimit(150))
doing("switches garbage collection off", gc.disable)
doing("changes how threads switch", lambda: sys.setswitchinterval(1.0))
doing("changes the locale", lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8" if "UTF" not in LOCALE else "C"))
doing("changes umask", lambda: os.umask(0o777))
doing("lowers the number of files", lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20)))
doing("traces", lambda: sys.settrace(lambda *_: None))
doing("patches json", lambda: setattr(json, "dumps", repr))
doing("patches time", lambda: setattr(time, "perf_counter", lambda: 0.0))
doing("patches os", lambda: setattr(os, "write", lambda *_: 0))
doing("removes NumPy", lambda: [sys.modules.pop(name) for name in list(sys.modules) if name.startswith("numpy")])
doing("forgets where modules are", sys.path.clear)
doing("empties its adapter", lambda: [adapter.functions.clear() for adapter in ADAPTERS if "empties" in adapter.name])
LOCALE = locale.setlocale(locale.LC_ALL)

# Files.
opened = []
doing("opens all files", lambda: opened.extend(open(os.devnull) for _ in range(200)) if len(opened) < 10_000 else None)  # noqa: PTH123, SIM115
doing("floods a temporary file", lambda: tempfile.TemporaryFile().write(b"x" * 2**20))  # noqa: SIM115

# Arrays.
hidden = np.zeros(1)


class Liar(np.ndarray):
    __class__ = np.ndarray
    shape = (1, 1)


class Number(float):
    def __array__(self, *arguments, **options):
        os._exit(6)


def structured(answer):
    return answer.view([("field", answer.dtype)])


def mapped(answer):
    memory = np.memmap(tempfile.TemporaryFile(), dtype=answer.dtype, shape=answer.shape)  # noqa: SIM115
    memory[...] = answer
    return memory


def read_only(answer):
    answer.flags.writeable = False
    return answer


async def soon(x, alpha, sigma, eps):
    await asyncio.sleep(0)
    return right(x, alpha, sigma, eps)


returning("lying subclass", lambda answer: answer.view(Liar))
returning("number that ends the process", lambda answer: Number(0))
returning("structured array", structured)
returning("byte-swapped array", lambda answer: answer.astype(answer.dtype.newbyteorder()))
returning("longdouble", lambda answer: answer.astype(np.longdouble))
returning("memory map", mapped)
returning("read-only array", read_only)
returning("array that runs backwards", lambda answer: answer[::-1, ::-1].copy()[::-1, ::-1])
returning("Fortran order", np.asfortranarray)
returning("endless broadcast", lambda answer: np.broadcast_to(0.0, (2**40, *answer.shape)))
returning("tuple", lambda answer: (answer,))
hostile(soon, "coroutine")


# Exceptions.
class Endless(Exception):  # noqa: N818
    def __str__(self):
        return "x" * 10**7


class Meta(type):
    __name__ = property(lambda self: 1 / 0)


class Nameless(Exception, metaclass=Meta):  # noqa: N818
    pass


def throw(error):
    raise error


doing("message of 10 MB", lambda: throw(Endless()))
doing("exception without a name", lambda: throw(Nameless("here")))
doing("exception group", lambda: throw(BaseExceptionGroup("two", [KeyboardInterrupt(), ValueError(1)])))
doing("code without a file", lambda: exec(compile("1 / 0", "\x1b[2J" * 10**5, "exec")))
doing("stack overflow in C", lambda: ctypes.CFUNCTYPE(None)(lambda: os.kill(os.getpid(), signal.SIGSEGV))())


# The report's folder, and its own file.
def vandal():
    for file in pathlib.Path("out").glob("*"):
        file.unlink(missing_ok=True)
    pathlib.Path("out/results.json").write_text("{")


doing("empties the report's folder", vandal)
doing("deletes its own file", lambda: pathlib.Path(__file__).unlink(missing_ok=True))
hostile(right, "innocent, last")
