"""What a call costs: evaluations of the network, and seconds, as a multiple of one evaluation."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from afi_properties.training import diffused_points
from afi_verify.experiments.ground_truth.problems import SCHEDULE, Networks, Problem, noise_at, time_at
from afi_verify.experiments.ground_truth.settings import Settings
from afi_verify.implementations import torch_adjoint, torch_likelihood

ROUNDS = 15


def measure_costs(problem: Problem, networks: Networks, seed: int, settings: Settings) -> dict[str, Any]:
    """Return, by method, evaluations per call as a phrase and the median ratio of its time to one evaluation's.

    Methods take turns, and each round's times are divided by that round's evaluation: what else the machine does then
    weighs on all alike.
    """
    t = time_at(0.0)
    noise = np.full(settings.points, noise_at(t)[0]), np.full(settings.points, noise_at(t)[1])
    x = torch.from_numpy(diffused_points(problem.law, *noise, np.random.default_rng([seed, 24])))
    v, eps, d = torch.ones_like(x), networks.eps, problem.dimension
    k = settings.probes[-1]
    traces = torch_likelihood
    full, probes = traces.autodiff_trace(SCHEDULE, eps), traces.stochastic_trace(SCHEDULE, eps, k, seed)
    matching = traces.matching_trace(SCHEDULE, eps, networks.head)
    vjp, ea = torch_adjoint.vjp_operator(SCHEDULE, eps), torch_adjoint.endpoint_operator(SCHEDULE, eps, x)
    methods: dict[str, tuple[str, Callable[[], Any]]] = {
        "one evaluation": ("1 forward", lambda: eps(x, t)),
        "trace: AFI-TM": ("2 forward (eps and head)", lambda: matching(x, t)),
        "trace: full VJP": (f"1 forward, {d} backward", lambda: full(x, t)),
        f"trace: Hutchinson, {k}": (f"1 forward, {k} backward", lambda: probes(x, t)),
        "product: VJP": ("1 forward, 1 backward", lambda: vjp(x, t, v)),
        "product: AFI-EA": ("1 forward, the endpoint given", lambda: ea(x, t, v)),
    }
    ratios: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(ROUNDS):
        seconds = {name: _seconds(call) for name, (_, call) in methods.items()}
        for name, value in seconds.items():
            ratios[name].append(value / seconds["one evaluation"])
    return {
        name: {"evaluations": words, "ratio": statistics.median(ratios[name])} for name, (words, _) in methods.items()
    }


def _seconds(call: Callable[[], Any]) -> float:
    def once() -> float:
        begun = time.perf_counter()
        with torch.no_grad():
            call()
        return time.perf_counter() - begun

    return min(once() for _ in range(3))
