"""What the files of adapters hold, found out by worker processes: this one executes no line of them."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from afi_verify.adapter import Adapter
from afi_verify.errors import UnusableError
from afi_verify.limits import Limits
from afi_verify.stand_in import stand_in
from afi_verify.worker_handle import DiedError, Worker


@dataclasses.dataclass(frozen=True)
class Found:
    """What importing a file gave."""

    file: str
    adapters: list[Adapter]
    settings: list[str]  # of the process that the import changed, in words
    problem: str = ""  # why it is unusable
    output: str = ""  # what it printed, where it is


def scout(files: Sequence[str], limits: Limits, at_once: int) -> Iterator[Found]:
    """Import each file in a process of its own, so many ``at_once``; yield what there is, in their order."""
    scouts: set[Worker] = set()

    def look(file: str) -> Found:
        with contextlib.closing(Worker(limits)) as worker:
            scouts.add(worker)
            return look_into(file, worker)

    with ThreadPoolExecutor(max_workers=at_once) as threads:
        try:
            yield from threads.map(look, files)
        finally:  # also when the caller is interrupted
            threads.shutdown(wait=False, cancel_futures=True)
            for worker in scouts:
                worker.kill()


def look_into(file: str, worker: Worker) -> Found:
    """Let a worker import a file."""
    try:
        reply, output = worker.request("inventory", file)
    except DiedError as death:
        cause = str(death)
        return Found(file, [], [], f"{file} cannot be imported: {cause[0].lower()}{cause[1:]}", death.output)
    try:
        if "unusable" in reply:
            raise UnusableError(reply["unusable"])
        return Found(file, [stand_in(entry, file) for entry in reply["adapters"]], reply["settings"])
    except UnusableError as error:
        text = str(error)
        return Found(file, [], [], text if file in text else f"{file}: {text}", output)
