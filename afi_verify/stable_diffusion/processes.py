"""Several processes on one list of work, as torchrun and accelerate launch start them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """Which process this is, of how many, and which of this machine's devices is its own."""

    rank: int
    world: int
    local: int


def place() -> Place:
    """Return what the launcher's environment says; one process alone without a launcher."""
    return Place(*(int(os.environ.get(name) or default) for name, default in _VARIABLES.items()))


_VARIABLES = {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0}


def own_device(device: str) -> str:
    """Return the device of this process: ``cuda`` becomes ``cuda:1`` for the second one of a machine."""
    return f"cuda:{place().local}" if device == "cuda" and place().world > 1 else device


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Leave the block when every process has come to its end.

    The processes share no tensors, only the knowledge that all are done: gloo does it with and without GPUs.
    """
    if place().world == 1:
        yield
        return
    import datetime

    import torch.distributed

    # No process waits for another until all its work is done, which may be days after.
    torch.distributed.init_process_group("gloo", timeout=datetime.timedelta(days=30))
    try:
        yield
        torch.distributed.barrier()
    finally:
        torch.distributed.destroy_process_group()
