"""Memory of processes, as Linux counts it; elsewhere nothing is known, and None says so."""

import contextlib
import dataclasses
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

STATUS = Path("/proc/self/status")

_PEAK = """
import json, sys
from afi_verify.bench.memory import read_status
from afi_verify.bench.methods import make_methods
name, batch, atoms, dimension, log_snr = json.loads(sys.argv[1])
methods = make_methods(batch, atoms, dimension, log_snr)
small = make_methods(batch, 16, 64, log_snr)
small[name]()  # what libraries allocate once is not the method's
before = read_status("VmHWM")
methods[name]()
print(json.dumps(read_status("VmHWM") - before))
"""


def read_status(field: str) -> int | None:
    """Return a field of this process's status in bytes: VmHWM, the peak resident set, or RssAnon."""
    if not STATUS.exists():
        return None
    found = re.search(rf"{field}:\s+(\d+) kB", STATUS.read_text("ascii"))
    return int(found[1]) * 1024 if found else None


def peak_of_method(name: str, *problem: float) -> int | None:
    """Return by how much a method raises the peak resident set of a fresh process, in bytes."""
    # Not getrusage: on Linux a child's peak starts at its parent's.
    if not STATUS.exists():
        return None
    command = [sys.executable, "-c", _PEAK, json.dumps([name, *problem])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(json.loads(done.stdout))


@dataclasses.dataclass
class Watch:
    """The largest amount seen; None where nothing is known."""

    peak: int | None = None


@contextlib.contextmanager
def watch_anonymous(interval: float = 0.01) -> Iterator[Watch]:
    """Watch the memory of this process that is no file's, at intervals in seconds."""
    watch = Watch(read_status("RssAnon"))
    done = threading.Event()

    def look() -> None:
        while not done.wait(interval):
            watch.peak = max(watch.peak or 0, read_status("RssAnon") or 0)

    thread = threading.Thread(target=look, daemon=True)
    if watch.peak is not None:
        thread.start()
    try:
        yield watch
    finally:
        done.set()
        if watch.peak is not None:
            thread.join()
            watch.peak = max(watch.peak, read_status("RssAnon") or 0)
