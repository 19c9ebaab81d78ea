"""Are right implementations ever accused? Every innocent and every shipped implementation, seed after seed.

From the root of the repository::

    python -m tests.zoo.campaign --profile quick --seeds 0-99 --file campaign.jsonl --report reports/false-accusations

A task is one subject in one dtype with one seed; each is appended to the file when it is done, and an interrupted
campaign goes on where it stopped. A finished task counts whatever code it ran: the page says how many versions it was.
"""

import argparse
import concurrent.futures
import dataclasses
import functools
import hashlib
import itertools
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from afi_verify.adapter import Adapter
from afi_verify.checks import run_check
from afi_verify.conditions import fixed_conditions
from afi_verify.planning import make_plan, planned_checks, why_not
from afi_verify.profiles import PROFILES
from tests.zoo.innocents import INNOCENTS
from tests.zoo.matrix import ACCUSED, SCENARIOS

ROOT = Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Task:
    """One subject in one dtype, with one seed."""

    group: str  # "shipped" or "innocent"
    subject: str
    dtype: str
    profile: str
    seed: int


@dataclasses.dataclass(frozen=True)
class Accusation:
    """A verdict against a right implementation."""

    check: str
    verdict: str
    message: str
    case: str


@dataclasses.dataclass(frozen=True)
class Done:
    """What came out of a task."""

    task: Task
    code: str  # digest of the code that ran
    seconds: float
    checks: int  # that ran
    vacuous: int  # among them
    cases: int  # batched
    points: int
    accusations: tuple[Accusation, ...]


def tasks_of(profile: str, seeds: range, groups: tuple[str, ...], roles: tuple[str, ...] = ()) -> Iterator[Task]:
    """Every subject with the first seed, then with the second: a part of a campaign is a campaign.

    Of the innocents those of ``roles`` alone, if there are any.
    """
    from afi_verify.shipped import ADAPTERS

    for seed in seeds:
        if "shipped" in groups:
            yield from (Task("shipped", a.name, a.dtype, profile, seed) for a in ADAPTERS)
        if "innocent" in groups:
            animals = [a for a in INNOCENTS.values() if not roles or a.role in roles]
            tasks = [Task("innocent", a.name, dtype, profile, seed) for a in animals for dtype in a.dtypes]
            yield from sorted(tasks, key=_sharing)


def _sharing(task: Task) -> tuple[str, ...]:
    """What tasks must have in common to be handed the same cases, whose truths a process computes once."""
    role = INNOCENTS[task.subject].role if task.group == "innocent" else task.subject
    return str(task.seed), task.group, role, task.dtype


def carry_out(task: Task) -> Done:
    """Run every check of a task's subject: of shipped ones all, of innocents those that have an oracle."""
    begun = time.perf_counter()
    scenarios = () if task.group == "shipped" else SCENARIOS
    roles = [] if task.group == "shipped" else [INNOCENTS[task.subject].role]
    plan = make_plan(profile=task.profile, seed=task.seed, scenarios=scenarios, roles=roles, data=None, weights=None)
    count = len(planned_checks(_subject(task), plan))
    results = []
    for number in range(count):
        # A new adapter for each: a function that keeps a state starts afresh.
        check = planned_checks(_subject(task), plan)[number]
        if why_not(check, plan) is None:
            with fixed_conditions():
                results.append(run_check(check, plan))
    accused = [r for r in results if r.verdict.value in ACCUSED]
    return Done(
        task=task,
        code=digest_of_the_code(),
        seconds=round(time.perf_counter() - begun, 2),
        checks=len(results),
        vacuous=sum(r.verdict.value == "vacuous" for r in results),
        cases=sum(r.cases for r in results),
        points=sum(r.items for r in results),
        accusations=tuple(
            Accusation(r.id, r.verdict.value, r.message[:500], r.worst.case if r.worst else "") for r in accused
        ),
    )


def _subject(task: Task) -> Adapter:
    if task.group == "innocent":
        return INNOCENTS[task.subject].build(task.dtype)
    from afi_verify.shipped import ADAPTERS

    return next(a for a in ADAPTERS if (a.name, a.dtype) == (task.subject, task.dtype))


@functools.cache
def digest_of_the_code() -> str:
    """Eight hexadecimal digits that change with any line of the packages or of the innocents."""
    digest = hashlib.sha256()
    for folder in ("afi_verify", "properties", "reference", "tests/zoo"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def read(file: Path) -> list[Done]:
    """Return what a file holds; a last line that was cut off is left out.

    Raises
    ------
    ValueError
        If another line is not a finished task.
    """
    done = []
    lines = file.read_text("utf-8").splitlines(keepends=True) if file.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            fields = json.loads(line)
            accusations = tuple(Accusation(**a) for a in fields.pop("accusations"))
            done.append(Done(task=Task(**fields.pop("task")), accusations=accusations, **fields))
        except (ValueError, TypeError, KeyError) as error:
            if number == len(lines) and not line.endswith("\n"):
                break
            raise ValueError(f"{file}, line {number}, is not a finished task of a campaign: {error}.") from error
    return done


def run(tasks: list[Task], file: Path, jobs: int) -> None:
    """Carry out those tasks that ``file`` does not hold, and append each when it is done."""
    finished = read(file)
    # Written anew, in case the last line was cut off.
    text = "".join(json.dumps(dataclasses.asdict(d)) + "\n" for d in finished)
    partial = file.with_suffix(".partial")
    partial.write_text(text, "utf-8")
    partial.replace(file)
    known = {d.task for d in finished}
    missing = [task for task in tasks if task not in known]
    with file.open("a", encoding="utf-8") as stream:
        for number, done in enumerate(_carry_out_all(missing, jobs), 1):
            stream.write(json.dumps(dataclasses.asdict(done)) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{number} of {len(missing)}")


def _carry_out_all(tasks: list[Task], jobs: int) -> Iterator[Done]:
    if jobs == 1:
        yield from map(carry_out, tasks)
        return
    context = multiprocessing.get_context("spawn")
    shares = [list(share) for _, share in itertools.groupby(tasks, _sharing)]
    with concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context) as pool:
        for future in concurrent.futures.as_completed([pool.submit(_carry_out_share, share) for share in shares]):
            yield from future.result()


def _carry_out_share(tasks: list[Task]) -> list[Done]:
    return [carry_out(task) for task in tasks]


def _seeds(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main(arguments: list[str] | None = None) -> int:
    """Run it and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.zoo.campaign",
        description="Run every right implementation with many seeds, and count the accusations.",
        epilog="Exit status: 0 none was accused; 1 one was; 2 bad usage.",
    )
    parser.add_argument("--profile", choices=list(PROFILES), default="quick", help="cases per check (default: quick)")
    parser.add_argument("--seeds", type=_seeds, default=range(0), metavar="A-B", help="none: only report the file")
    parser.add_argument("--groups", nargs="+", choices=("shipped", "innocent"), default=("shipped", "innocent"))
    parser.add_argument("--roles", nargs="+", default=(), metavar="ROLE", help="of innocents these alone")
    parser.add_argument("--file", type=Path, required=True, help="JSON lines; what it holds is not done again")
    parser.add_argument("--report", type=Path, metavar="DIR", help="write results.json and index.html into this folder")
    parser.add_argument("-j", "--jobs", type=int, default=1, help="processes (default: 1)")
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error("--jobs must be at least 1.")
    try:
        tasks = list(tasks_of(options.profile, options.seeds, tuple(options.groups), tuple(options.roles)))
        run(tasks, options.file, options.jobs)
    except ValueError as error:
        parser.error(str(error))
    from tests.zoo.campaign_page import describe, make_document, make_study

    document: dict[str, Any] = make_document(read(options.file))
    if options.report is not None:
        from afi_verify.report.study import write_study

        write_study(make_study(document), document, options.report)
    sys.stdout.write(describe(document))
    return int(document["accusations"] != [])


if __name__ == "__main__":
    sys.exit(main())
