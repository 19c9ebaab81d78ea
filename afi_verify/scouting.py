"""What the files of adapters hold, found out by worker processes: this one executes no line of them."""

import dataclasses
import threading
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
    worker: Worker | None = None  # which has imported it; whoever gets this closes it


def scout(files: Sequence[str], limits: Limits, at_once: int, keep: int = 0) -> Iterator[Found]:
    """Import each file in a process of its own, so many ``at_once``; yield what there is, in their order.

    Of the processes of files that are usable the first ones are left, at most so many as to ``keep``.
    """
    scouts: list[Worker] = []
    stopped = threading.Event()

    def look(file: str) -> Found:
        worker = Worker(limits)
        scouts.append(worker)
        if stopped.is_set():  # while it started
            worker.kill()
        found = look_into(file, worker)
        if found.adapters:
            return dataclasses.replace(found, worker=worker)
        worker.close()
        return found

    with ThreadPoolExecutor(max_workers=at_once) as threads:
        try:
            for found in threads.map(look, files):
                keep -= found.worker is not None
                if found.worker is not None and keep < 0:
                    found.worker.close()
                    found = dataclasses.replace(found, worker=None)
                yield found
        except BaseException:  # the caller is interrupted, for one
            stopped.set()
            threads.shutdown(wait=False, cancel_futures=True)
            for worker in scouts:
                worker.kill()
            raise


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
