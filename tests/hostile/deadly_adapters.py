"""Adapters that end their process, or leave something behind that might reach another check; see test_hostile.py."""

import ctypes
import faulthandler
import os
import pathlib
import resource
import signal
import sys
import threading
import time

from afi_verify import Adapter

ADAPTERS = []


def right(x, alpha, sigma, eps):
    return (x - sigma * eps) / alpha


def doing(name, action):
    def besides(x, alpha, sigma, eps):
        action()
        return right(x, alpha, sigma, eps)

    adapter = Adapter(name)
    adapter.provides("posterior_mean", besides)
    ADAPTERS.append(adapter)


once = set()


def just_once(name, action):
    def act():
        if name not in once:
            once.add(name)
            action()

    doing(name, act)


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


just_once("leaves a demon", demon)
doing("segmentation fault in a thread", lambda: threading.Thread(target=ctypes.string_at, args=(0,)).start())


# It acts later, when another check may run.
def later(action):
    def act():
        time.sleep(1)
        action()

    threading.Thread(target=act, daemon=True).start()


just_once("a thread ends the process later", lambda: later(lambda: os._exit(4)))
just_once("the fault handler ends the process later", lambda: faulthandler.dump_traceback_later(1, exit=True))
doing("lowers the limit of files", lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20)))
doing("removes NumPy", lambda: [sys.modules.pop(name) for name in list(sys.modules) if name.startswith("numpy")])
doing("forgets where modules are", sys.path.clear)
doing("empties its adapter", lambda: [adapter.functions.clear() for adapter in ADAPTERS if "empties" in adapter.name])
just_once("opens many files", lambda: once.update(open(os.devnull) for _ in range(200)))  # noqa: PTH123, SIM115


# The report's folder, and its own file.
def vandal():
    for file in pathlib.Path("out").glob("*"):
        file.unlink(missing_ok=True)
    pathlib.Path("out/results.json").write_text("{")


doing("empties the report's folder", vandal)
doing("right all the time", lambda: None)


async def soon(x, alpha, sigma, eps):
    return right(x, alpha, sigma, eps)


ADAPTERS.append(Adapter("coroutine"))
ADAPTERS[-1].provides("posterior_mean", soon)
doing("deletes its own file", lambda: pathlib.Path(__file__).unlink(missing_ok=True))
