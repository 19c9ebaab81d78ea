"""Kill `afi-verify sd check` with SIGKILL at random moments until it is done, and hold its results against a run's
that nobody killed.

``python -m tests.stable_diffusion.kills DIR --kills 10`` does so with one process and with two under torchrun, and
writes what happened as a page. test_check_command.py kills twice.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from afi_verify.report.study import Cell, Section, Study, Table, write_study
from afi_verify.runner import environment

QUICK = ("--levels", "2", "--samples", "32", "--probes", "8", "--steps", "2")
LAUNCH = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "afi_verify")


def command(model: Path, out: Path, options: Sequence[str], processes: int) -> list[str]:
    """Return the full command line, as a user types it or as torchrun starts it."""
    launch = LAUNCH if processes > 1 else ("-m", "afi_verify")
    return [sys.executable, *launch, "sd", "check", str(model), "--report", str(out), *options]


def start(line: list[str]) -> subprocess.Popen[bytes]:
    """Start a command without output, one thread for each of its processes."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def finished(out: Path) -> list[dict[str, Any]]:
    """Return every whole line of the ledger, doubled ones twice."""
    lines = [line for file in sorted(out.glob("results-*.jsonl")) for line in file.read_bytes().split(b"\n")[:-1]]
    return [json.loads(line) for line in lines]


def kill_at(line: list[str], out: Path, moment: float, seconds_per_item: float, *, all_of_it: bool = True) -> str:
    """Start the command and kill it when ``moment`` items are in the ledger; the fraction is waited for in time.

    By progress, not by the clock alone: a fast machine would be done before the last of the moments.

    Parameters
    ----------
    all_of_it
        Kill every process at once; otherwise one of the two workers, whereupon torchrun ends the other.

    Returns
    -------
    str
        Where the kill came: ``start`` (before the first item of this start), ``items``, or ``late`` if it had ended.
    """
    before = len(finished(out))
    process = start(line)
    began = time.monotonic()
    while process.poll() is None and len(finished(out)) < int(moment):
        time.sleep(0.01)
    # A start takes as long as several items: a moment that is reached at once falls into it.
    time.sleep((moment % 1) * (seconds_per_item if len(finished(out)) > before else 8.0))
    where = "items" if len(finished(out)) > before else "start"
    workers = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    for each in [*workers, process] if all_of_it else workers[-1:] or [process]:
        try:
            os.kill(each.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    code = process.wait()
    psutil.wait_procs(workers, timeout=60)
    return "late" if code in (0, 1) and (all_of_it or time.monotonic() - began < 0.1) else where


def differences(out: Path, whole: Path) -> list[str]:
    """Return what differs between the killed run's results and the other's; nothing, if nothing was lost or doubled."""
    wanted = json.loads((whole / "results.json").read_text())
    found = json.loads((out / "results.json").read_text())
    told = [name for name in wanted if wanted[name] != found.get(name)]
    names = [row["item"] for row in finished(out)]
    told += [f"{name} is in the ledger {names.count(name)} times" for name in set(names) if names.count(name) > 1]
    told += [f"{row['item']} was lost" for row in wanted["items"] if row["item"] not in names]
    return told


def torture(
    model: Path, folder: Path, options: Sequence[str], *, processes: int, kills: int, seed: int
) -> dict[str, Any]:
    """Run once in peace by one process, then kill ``kills`` times and let the last start end."""
    whole, out = folder / "whole", folder / f"killed-{processes}"
    began = time.monotonic()
    if not whole.exists():
        start(command(model, whole, options, 1)).wait()
    items = len(finished(whole))
    per_item = (time.monotonic() - began) / items if items else 1.0
    draw = random.Random(seed)
    moments = sorted(draw.uniform(0, items) for _ in range(kills))
    line = command(model, out, options, processes)
    rows = []
    for k, moment in enumerate(moments):
        all_of_it = processes == 1 or k % 2 == 0
        where = kill_at(line, out, moment, min(per_item, 2.0), all_of_it=all_of_it)
        what = "all processes" if all_of_it else "one worker"
        rows.append({"moment": moment, "where": where, "killed": what, "finished": len(finished(out))})
        print(f"{processes} processes, kill {k + 1} of {kills}: {rows[-1]}", file=sys.stderr)
    code = start(line).wait()
    return {
        "processes": processes,
        "seed": seed,
        "items": items,
        "kills": rows,
        "exit": code,
        "differences": differences(out, whole),
    }


def main() -> None:
    """Kill one process and two, and write the page."""
    from afi_verify.stable_diffusion.examples import write_example

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    options = (*QUICK, "--seeds", "8", "--prompt", "a cat")
    with tempfile.TemporaryDirectory() as place:
        write_example(Path(place) / "model", kind="sd15", exact=8, size=8, seed=1)
        found = [
            torture(Path(place) / "model", Path(place), options, processes=n, kills=given.kills, seed=given.seed + n)
            for n in (1, 2)
        ]
    document = {"schema": "afi-verify/sd-kills/1", "kills": given.kills, "seed": given.seed, "runs": found}
    write_study(make_study(document), document, given.folder)
    raise SystemExit(int(any(run["differences"] for run in found)))


def make_study(document: dict[str, Any]) -> Study:
    """Arrange a document as a page."""
    found = document["runs"]
    same = not any(run["differences"] for run in found)
    tables = []
    for run in found:
        rows = tuple(
            (str(k + 1), f"{row['moment']:.2f}", row["where"], row["killed"], str(row["finished"]))
            for k, row in enumerate(run["kills"])
        )
        caption = (
            f"{run['processes']} process{'es under torchrun' if run['processes'] > 1 else ''}, {run['items']} items"
        )
        tables.append(Table(caption, ("Kill", "Moment, in items", "Fell into", "Killed", "Finished then"), rows))
    verdicts = Table(
        "",
        ("Processes", "Different from the run in peace"),
        tuple(
            (
                str(run["processes"]),
                Cell("; ".join(run["differences"]) or "nothing", "fail" if run["differences"] else "pass"),
            )
            for run in found
        ),
    )
    counted = [sum(row["where"] != "late" for row in run["kills"]) for run in found]
    return Study(
        name="SIGKILL at random moments",
        answer=f"{counted[0]} kills of one process, {counted[1]} of two: results {'equal' if same else 'NOT equal'}, "
        f"{'none' if same else 'SOME'} lost or doubled.",
        tone="pass" if same else "fail",
        lead="The full command afi-verify sd check, in processes of its own, on an exact model of 8 latents; the same "
        "command was started again after each kill. Compared are the whole of results.json and every line of the "
        "ledger, with a run by one process that nobody killed.",
        sections=(Section("Verdict", tables=(verdicts,)), Section("Kills", tables=tuple(tables))),
        command=f"python -m tests.stable_diffusion.kills DIR --kills {document['kills']} --seed {document['seed']}",
        environment=environment(),
    )


if __name__ == "__main__":
    main()
