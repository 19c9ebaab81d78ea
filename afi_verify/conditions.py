"""What a check's numbers may depend on besides its seed, held fixed while it runs."""

import contextlib
import random
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import threadpoolctl


@contextlib.contextmanager
def fixed_conditions() -> Iterator[None]:
    """Within the context BLAS and torch use one thread, and the global random generators start from zero.

    The order of summation, and so the last digit, depends on the number of threads. What was before is restored after.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(threadpoolctl.threadpool_limits(1))
        if "torch" in sys.modules:
            stack.enter_context(_fixed_torch(sys.modules["torch"]))
        states = random.getstate(), np.random.get_state()  # noqa: NPY002 - the code under test may use it
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002


@contextlib.contextmanager
def _fixed_torch(torch: Any) -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            yield
    finally:
        torch.set_num_threads(threads)
