"""The Fokker-Planck equation of the score: how the prediction changes with the noise, by what it is at one noise level.

In ``y = x / alpha`` and ``tau = sigma / alpha`` every diffusion is the heat equation, ``dp/dtau = tau Laplacian p``,
and the score ``S = -e / tau`` of ``p`` obeys ``dS/dtau = tau grad(div S + |S|^2)``. In terms of the prediction e and
along a direction u,

    ``<u, d(e/tau)/dtau> = d<z, J z>/du - 2 <e, J u> / tau``,      J = de/dy,

in the mean over random signs z. Derivatives in tau and along u are differences, so that no layer needs second ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from afi_verify.stable_diffusion.denoiser import Denoiser
from afi_verify.stable_diffusion.findings import Finding, Tolerances, interval, judge_mean
from afi_verify.stable_diffusion.products import Products, dot, signs

PROBES = 32


def check_fokker_planck(
    denoiser: Denoiser, products: Products, x: Tensor, t: float, unit: float, tolerances: Tolerances, seed: int
) -> Finding:
    """Hold the change of the score with the noise against the equation, along the score, at a point (1, C, H, W)."""
    words = "d score / d noise along the score against the Fokker-Planck equation, over the larger side"
    left, right = _sides(denoiser, products, x, t, unit, seed)
    residual = interval(left - right.cpu().numpy())
    scale = max(abs(left), abs(float(right.mean())))
    sides = {"by_differences": left, "by_equation": float(right.mean())}
    return judge_mean("fokker-planck", residual, scale, tolerances.model, words, **sides)


def _sides(denoiser: Denoiser, products: Products, x: Tensor, t: float, unit: float, seed: int) -> tuple[float, Tensor]:
    alpha, sigma = denoiser.alpha(t), denoiser.sigma(t)
    tau, y = sigma / alpha, x / alpha
    eps = products.eps(x, t)
    u = eps / eps.norm()
    rough = unit * max(1.0, float(x.square().mean().sqrt()) / sigma)

    # A step that changes tau by so much; the points move with it, since y stays.
    wanted = rough ** (1 / 3)
    step = min(
        max(wanted * _time_per_log_tau(denoiser, t), 1e-6), t - denoiser.schedule.t_min, denoiser.schedule.t_max - t
    )
    sides = []
    for moved in (t + step, t - step):
        ratio = denoiser.sigma(moved) / denoiser.alpha(moved)
        sides.append((products.eps(denoiser.alpha(moved) * y, moved) / ratio, ratio))
    (later, tau_later), (earlier, tau_earlier) = sides
    left = float(dot(u, later - earlier)[0]) / (tau_later - tau_earlier)

    z = signs(PROBES, tuple(x.shape[1:]), torch.Generator().manual_seed(seed), x)
    shift = sigma * rough ** (1 / 4) * u
    along = float(shift.norm()) / alpha  # in y
    up, down = (products.quadratic((x + way * shift).expand_as(z), z, t) * alpha for way in (1, -1))
    curved = (up - down) / (2 * along)
    turned = alpha * float(dot(eps, products.jvp(x, u, t))[0])
    return left, curved - 2 * turned / tau


def _time_per_log_tau(denoiser: Denoiser, t: float) -> float:
    """``dt / d log tau``: half of log-SNR falls by one."""
    sigma2 = denoiser.sigma(t) ** 2
    return 2 * sigma2 / float(denoiser.schedule.g2(t))
