"""Running the experiment: one cell per problem and network, each kept as soon as it is finished."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from afi_verify.errors import UnusableError
from afi_verify.experiments.ground_truth.antipodes import measure_antipodes
from afi_verify.experiments.ground_truth.costs import measure_costs
from afi_verify.experiments.ground_truth.fields import measure_fields
from afi_verify.experiments.ground_truth.learning import measure_learning
from afi_verify.experiments.ground_truth.problems import make_problem, train_networks
from afi_verify.experiments.ground_truth.settings import FULL, QUICK, Settings
from afi_verify.experiments.ground_truth.trajectories import measure_adjoint, measure_guidance, measure_likelihood

SCHEMA = "afi-verify/ground-truth/1"

Listener = Callable[[str], None]


def run_ground_truth(*, quick: bool, seed: int, resume: Path | None, listen: Listener) -> dict[str, Any]:
    """Run the experiment, and return its numbers as a JSON document.

    Parameters
    ----------
    quick
        Tiny sizes: whether it runs, not what it finds.
    seed
        The first network's; the others follow.
    resume
        A file of finished cells, one JSON object a line: those in it are not computed again, new ones are added.
    listen
        Told what is going on.

    Raises
    ------
    UnusableError
        If ``resume`` holds something else.
    """
    settings = QUICK if quick else FULL
    names = {f"{name}/{number}": (name, seed + number) for name in settings.names for number in range(settings.seeds)}
    prefix = f"{SCHEMA}/{'quick' if quick else 'full'}/seed {seed}/"
    known = _read(resume) if resume is not None else {}
    cells = []
    for key, (name, number) in names.items():
        cell = known.get(prefix + key)
        if cell is None:
            listen(f"{key}: training and measuring ...")
            cell = run_cell(name, number, settings)
            listen(f"{key}: {cell['seconds']['all']:.0f} s")
            if resume is not None:
                _append(resume, prefix + key, cell)
        cells.append(cell)
    return {
        "schema": SCHEMA,
        "quick": quick,
        "seed": seed,
        "problems": {name: make_problem(name, settings).title for name in settings.names},
        "cells": cells,
        "antipodes": measure_antipodes(),
    }


def run_cell(name: str, seed: int, settings: Settings) -> dict[str, Any]:
    """Train the networks of one problem from one seed, and measure everything about them."""
    problem = make_problem(name, settings)
    seconds: dict[str, float] = {}
    begun = time.perf_counter()
    with _one_thread():
        networks = train_networks(problem, seed, settings)
        seconds["training"] = time.perf_counter() - begun
        cell = {
            "problem": name,
            "seed": seed,
            "parameters": networks.parameters,
            "fields": measure_fields(problem, networks, seed, settings),
            "likelihood": measure_likelihood(problem, networks, seed, settings),
            "adjoint": measure_adjoint(problem, networks, seed, settings),
            "guidance": measure_guidance(problem, networks, seed, settings),
            "costs": measure_costs(problem, networks, seed, settings),
            "learning": measure_learning(problem, seed, settings),
        }
    seconds["all"] = time.perf_counter() - begun
    return {**cell, "seconds": seconds}


class _one_thread:  # noqa: N801 - reads as a phrase
    """One thread of torch: times are ratios of work, and sums do not depend on the machine's cores."""

    def __enter__(self) -> None:
        self.before = torch.get_num_threads()
        torch.set_num_threads(1)

    def __exit__(self, *_: object) -> None:
        torch.set_num_threads(self.before)


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
        return {entry["key"]: entry["cell"] for entry in found}
    except (ValueError, KeyError, TypeError) as error:
        raise UnusableError(f"--resume {path}: it does not hold cells of this experiment ({error}).") from None


def _append(path: Path, key: str, cell: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"key": key, "cell": cell}, allow_nan=False) + "\n")
