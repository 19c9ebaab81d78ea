"""Elapsed and processor time of functions that take turns, so that what else the machine does falls on all of them."""

import contextlib
import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any


@dataclasses.dataclass
class Times:
    """Seconds of each run of one function."""

    elapsed: list[float] = dataclasses.field(default_factory=list)
    processor: list[float] = dataclasses.field(default_factory=list)

    def measure(self, function: Callable[[], Any]) -> None:
        """Run the function once."""
        elapsed, processor = time.perf_counter(), time.process_time()
        function()
        self.elapsed.append(time.perf_counter() - elapsed)
        self.processor.append(time.process_time() - processor)

    @property
    def median(self) -> float:
        """The median of the elapsed times."""
        return statistics.median(self.elapsed)

    @property
    def processor_median(self) -> float:
        """The median of the processor times, of all threads together."""
        return statistics.median(self.processor)


def take_turns(
    functions: Mapping[Any, Callable[[], Any]], repeats: int, listen: Callable[[str], None] = lambda _: None
) -> dict[Any, Times]:
    """Run each function once without and ``repeats`` times with the clock, one after the other in each round."""
    times = {name: Times() for name in functions}
    for turn in range(repeats + 1):
        listen(f"round {turn} of {repeats}" if turn else "warming up")
        for name, function in functions.items():
            (times[name] if turn else Times()).measure(function)
    return times


@contextlib.contextmanager
def torch_threads(count: int | None) -> Iterator[int]:
    """Give torch, and NumPy's products, so many threads for a while; what they have when None.

    Yields how many torch has.
    """
    import threadpoolctl
    import torch

    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        with threadpoolctl.threadpool_limits(count, user_api="blas"):
            yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
