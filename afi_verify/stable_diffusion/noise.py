"""The noise levels and the kind of prediction of a diffusers scheduler, and the noise prediction from any kind.

Time is the timestep that the network is given: for a variance-preserving scheduler the index into ``alphas_cumprod``,
0 to N - 1 (between the indices ``log alphas_cumprod`` is interpolated smoothly); for flow matching ``N sigma``.
"""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from afi_reference.schedules import DiscreteVP, RectifiedFlow
from afi_reference.schedules.schedule import Schedule
from afi_verify.errors import UnusableError

Prediction: TypeAlias = Literal["epsilon", "v_prediction", "sample", "flow"]
"""What a network returns: the noise, ``alpha noise - sigma x_0``, ``x_0``, or ``noise - x_0``."""

PREDICTIONS: tuple[Prediction, ...] = get_args(Prediction)


@dataclass(frozen=True)
class FlowSteps:
    """``alpha = 1 - t/N`` and ``sigma = t/N``: rectified flow with the time in steps, as diffusers counts it.

    A scheduler's ``shift`` changes which noise levels a sampler visits, not what a timestep means.
    """

    steps: int = 1000
    name: str = "flow-matching"
    t_min: float = 0.0

    @property
    def t_max(self) -> float:
        """The last time, pure noise."""
        return float(self.steps)

    def alpha(self, t: Any) -> Any:
        """Signal scale."""
        return RectifiedFlow().alpha(t / self.steps)

    def sigma(self, t: Any) -> Any:
        """Noise scale."""
        return RectifiedFlow().sigma(t / self.steps)

    def log_snr(self, t: Any) -> Any:
        """``log(alpha^2 / sigma^2)``."""
        return RectifiedFlow().log_snr(t / self.steps)

    def f(self, t: Any) -> Any:
        """``d log(alpha) / dt``, per step."""
        return RectifiedFlow().f(t / self.steps) / self.steps

    def g2(self, t: Any) -> Any:
        """``d sigma^2 / dt - 2 f sigma^2``, per step."""
        return RectifiedFlow().g2(t / self.steps) / self.steps

    def rates(self, t: Any) -> tuple[Any, Any]:
        """``(d alpha / dt, d sigma / dt)``, per step."""
        falling, rising = RectifiedFlow().rates(t / self.steps)
        return falling / self.steps, rising / self.steps

    def time_of_log_snr(self, lam: Any) -> Any:
        """Time at which the log-SNR is ``lam``."""
        return RectifiedFlow().time_of_log_snr(lam) * self.steps

    def noise_at_log_snr(self, lam: Any) -> tuple[Any, Any]:
        """``(alpha, sigma)`` at the log-SNR ``lam``."""
        return RectifiedFlow().noise_at_log_snr(lam)


def is_flow(scheduler: Any) -> bool:
    """Say whether a scheduler is one of flow matching."""
    config = scheduler.config
    return (
        type(scheduler).__name__.startswith("FlowMatch")
        or config.get("prediction_type") == "flow_prediction"
        or bool(config.get("use_flow_sigmas"))
    )


def schedule_of(scheduler: Any) -> Schedule:
    """Return the scheduler's own alpha and sigma as functions of the timestep.

    A table that ends at zero signal (rescaled to zero terminal SNR) ends one step earlier: there ``alpha`` is 0 and no
    quantity of the data is defined.

    Raises
    ------
    UnusableError
        If the scheduler is neither variance preserving nor one of flow matching.
    """
    if is_flow(scheduler):
        return FlowSteps(int(scheduler.config.num_train_timesteps))
    table = getattr(scheduler, "alphas_cumprod", None)
    if table is None:
        raise UnusableError(
            f"The scheduler {type(scheduler).__name__} has no alphas_cumprod and is not one of flow matching: its "
            "noise levels are not known here. Give a pipeline with DDIMScheduler, EulerDiscreteScheduler, "
            "DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler or the like."
        )
    # In float64 from the scheduler's own float32 numbers: the same alpha and sigma as its add_noise, without the
    # rounding of its square roots.
    values = np.asarray(table.detach().cpu().double())
    signal = int((values > 0).sum())
    try:
        return DiscreteVP(values[:signal], name=type(scheduler).__name__)
    except ValueError as error:
        raise UnusableError(f"The scheduler {type(scheduler).__name__} cannot be used: {error}") from None


def prediction_of(scheduler: Any) -> Prediction:
    """Return what the scheduler says that the network predicts.

    Raises
    ------
    UnusableError
        If that is nothing known here.
    """
    if is_flow(scheduler):
        return "flow"
    named = scheduler.config.get("prediction_type", "epsilon")
    if named not in PREDICTIONS:
        raise UnusableError(
            f"The scheduler's prediction_type {named!r} is not known; known are {', '.join(PREDICTIONS)}."
        )
    return named


def noise_prediction(prediction: Prediction, output: Any, x: Any, alpha: Any, sigma: Any) -> Any:
    """Turn what a network returned at ``x`` into its prediction of the noise.

    Parameters
    ----------
    prediction
        What ``output`` is.
    output, x
        Shape (B, *event_shape) each.
    alpha, sigma
        Floats, or shapes that broadcast against ``x``.

    Returns
    -------
    Any
        Of the shape of ``x``.
    """
    match prediction:
        case "epsilon":
            return output
        case "v_prediction":
            return (alpha * output + sigma * x) / (alpha * alpha + sigma * sigma)
        case "sample":
            return (x - alpha * output) / sigma
        case "flow":
            return (x + alpha * output) / (alpha + sigma)


def network_output(prediction: Prediction, eps: Any, x: Any, alpha: Any, sigma: Any) -> Any:
    """Undo :func:`noise_prediction`: what a network would return whose noise prediction is ``eps``."""
    data = (x - sigma * eps) / alpha
    match prediction:
        case "epsilon":
            return eps
        case "v_prediction":
            return alpha * eps - sigma * data
        case "sample":
            return data
        case "flow":
            return eps - data
