"""How the excess risk of a trace head falls as it trains longer (Prop. 6, Fig. 1)."""

from typing import Any

import torch
from torch import nn

from afi_properties.excess_risk import excess_risk
from afi_properties.problem import Array
from afi_verify.experiments.ground_truth.problems import SCHEDULE, Problem
from afi_verify.experiments.ground_truth.settings import Settings
from afi_verify.implementations.torch_training import train_trace_head

POINTS = 256


def measure_learning(problem: Problem, seed: int, settings: Settings) -> list[dict[str, Any]]:
    """Return one row per length of training: excess risk, its interval, what can be explained, the Bayes risk."""
    rows = []
    for steps in settings.rate_steps:
        head = train_trace_head(problem.source(), SCHEDULE, seed, num_steps=steps, width=problem.width)
        risk = excess_risk(_in_numpy(head), problem.law, SCHEDULE, points=POINTS, seed=seed)
        relative, low, high = risk.relative
        rows.append(
            {
                "steps": steps,
                "relative": relative,
                "low": low,
                "high": high,
                "explainable": risk.explainable,
                "bayes": risk.bayes,
            }
        )
    return rows


def _in_numpy(head: nn.Module) -> Any:
    def answer(x: Array, t: float) -> Array:
        values: Array = head(torch.tensor(x, dtype=torch.float32), t).numpy()
        return values

    return answer
