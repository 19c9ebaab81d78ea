"""Adapters that do what no function should, but leave the process alive; see test_hostile.py."""

import gc
import json
import locale
import os
import signal
import sys
import tempfile
import threading
import time

import numpy as np

from afi_verify import Adapter

ADAPTERS = []


def adapter_of(function, name):
    adapter = Adapter(name)
    adapter.provides("posterior_mean", function)
    ADAPTERS.append(adapter)


def right(x, alpha, sigma, eps):
    return (x - sigma * eps) / alpha


def doing(name, action):
    def besides(x, alpha, sigma, eps):
        action()
        return right(x, alpha, sigma, eps)

    adapter_of(besides, name)


def returning(name, make):
    adapter_of(lambda x, alpha, sigma, eps: make(right(x, alpha, sigma, eps)), name)


LOCALE = locale.setlocale(locale.LC_ALL)

# It changes what others use.
doing("sets the alarm clock", lambda: signal.alarm(1))
doing("lowers the limit of recursion", lambda: sys.setrecursionlimit(sys.getrecursionlimit() - 1))
doing("raises the limit of recursion", lambda: sys.setrecursionlimit(sys.getrecursionlimit() + 1))
doing("switches garbage collection off", gc.disable)
doing("changes how threads switch", lambda: sys.setswitchinterval(1.0))
doing("changes the locale", lambda: locale.setlocale(locale.LC_ALL, "C" if "UTF" in LOCALE else "C.UTF-8"))
doing("changes the umask", lambda: os.umask(0o777))
doing("profiles", lambda: sys.setprofile(lambda *_: None))
doing("patches json", lambda: setattr(json, "dumps", repr))
doing("patches time", lambda: setattr(time, "perf_counter", lambda: 0.0))
doing("patches os", lambda: setattr(os, "write", lambda *_: 0))
doing("a thread raises SystemExit", lambda: threading.Thread(target=sys.exit).start())


# Arrays.
class Liar(np.ndarray):
    __class__ = np.ndarray
    shape = (1, 1)


class Number(float):
    def __array__(self, *arguments, **options):
        raise SystemExit


def structured(answer):
    return answer.view([("field", answer.dtype)])


def mapped(answer):
    memory = np.memmap(tempfile.TemporaryFile(), dtype=answer.dtype, shape=answer.shape)  # noqa: SIM115
    memory[...] = answer
    return memory


def read_only(answer):
    answer.flags.writeable = False
    return answer


returning("lying subclass", lambda answer: answer.view(Liar))
returning("number that wants to be an array", lambda answer: Number(0))
returning("structured array", structured)
returning("byte-swapped array", lambda answer: answer.astype(answer.dtype.newbyteorder()))
returning("longdouble", lambda answer: answer.astype(np.longdouble))
returning("memory map", mapped)
returning("read-only array", read_only)
returning("array that runs backwards", lambda answer: answer[::-1, ::-1].copy()[::-1, ::-1])
returning("Fortran order", np.asfortranarray)
returning("endless broadcast", lambda answer: np.broadcast_to(0.0, (2**40, *answer.shape)))
returning("tuple", lambda answer: (answer,))


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
