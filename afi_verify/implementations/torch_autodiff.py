"""Fisher information by automatic differentiation of a noise prediction: the baselines of the paper.

``F`` is read off the Jacobian J of ``eps_fn(x, t)`` with respect to ``x`` (eq. 8): ``F = J / sigma``. For the
exact noise prediction ``-sigma grad log q_t`` J is symmetric; for a trained one it is not, and then ``J v``
and the ``J^T v`` that eq. 9 and 19 compute are different vectors.

Common to all functions: ``x`` and ``v`` have shape (B, *event_shape), d values each; ``eps_fn`` maps
``(x, t)`` to the shape of ``x``, treats the samples of a batch independently and is built of differentiable
torch operations; ``t`` is passed through untouched; ``sigma`` is a float or a tensor of shape (B,). Results
have the dtype and device of ``x``; no input is changed. A surrounding
``torch.no_grad()`` has no effect on them.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

EpsFn = Callable[[Tensor, float | Tensor], Tensor]

# Numbers that one backward pass may hold per intermediate value of eps_fn's own size.
_CHUNK_ELEMENTS = 2**22


def as_noise(sigma: float | Tensor, x: Tensor) -> Tensor:
    """Return ``sigma`` as a tensor (B,) in the dtype of ``x``."""
    # The dtype at once: as_tensor(0.8) alone is float32, and float64 would get its rounding.
    noise = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
    if noise.ndim and noise.shape != x.shape[:1]:
        raise ValueError(f"sigma must be a float or have shape ({len(x)},), not {tuple(noise.shape)}.")
    if not bool((noise > 0).all()):
        raise ValueError(f"sigma must be positive in {x.dtype}.")
    return noise.expand(x.shape[:1])


def _direction(v: Tensor, x: Tensor) -> Tensor:
    if v.shape != x.shape:
        raise ValueError(f"v must have the shape of x, {tuple(x.shape)}, not {tuple(v.shape)}.")
    return v.to(x)


def make_pullback(eps_fn: EpsFn, x: Tensor, t: float | Tensor) -> Callable[[Tensor], Tensor]:
    """Return the function ``v -> J^T v``; the forward pass runs once, here."""
    with torch.enable_grad():
        point = x.detach().requires_grad_()
        output = eps_fn(point, t)
    if output.shape != x.shape:
        raise ValueError(f"eps_fn must return {tuple(x.shape)}, not {tuple(output.shape)}.")

    def pullback(v: Tensor) -> Tensor:
        return torch.autograd.grad(output, point, v.to(output.dtype), retain_graph=True)[0]

    return pullback


def chunks(total: int, x: Tensor) -> Iterator[range]:
    """Yield ranges up to ``total``, each of as many copies of ``x`` as one pass should hold."""
    step = max(1, _CHUNK_ELEMENTS // x.numel())
    for start in range(0, total, step):
        yield range(start, min(start + step, total))


def fisher_vector_product_vjp(eps_fn: EpsFn, x: Tensor, v: Tensor, t: float | Tensor, sigma: float | Tensor) -> Tensor:
    """``J^T v / sigma`` by reverse mode (eq. 9 and 19).

    Returns
    -------
    Tensor
        Shape, dtype and device of ``x``.

    Raises
    ------
    ValueError
        If a shape does not fit, or ``sigma`` is not positive.
    """
    noise = as_noise(sigma, x).reshape(-1, *[1] * (x.ndim - 1))
    return make_pullback(eps_fn, x, t)(_direction(v, x)) / noise


def fisher_vector_product_jvp(eps_fn: EpsFn, x: Tensor, v: Tensor, t: float | Tensor, sigma: float | Tensor) -> Tensor:
    """``J v / sigma`` by forward mode (eq. 8 times ``v``).

    Returns
    -------
    Tensor
        Shape, dtype and device of ``x``.

    Raises
    ------
    ValueError
        If a shape does not fit, or ``sigma`` is not positive.
    """
    noise = as_noise(sigma, x).reshape(-1, *[1] * (x.ndim - 1))
    tangent: Tensor = torch.func.jvp(lambda point: eps_fn(point, t), (x,), (_direction(v, x),))[1]
    if tangent.shape != x.shape:
        raise ValueError(f"eps_fn must return {tuple(x.shape)}, not {tuple(tangent.shape)}.")
    return tangent.to(x.dtype) / noise


def fisher_trace_autodiff(eps_fn: EpsFn, x: Tensor, t: float | Tensor, sigma: float | Tensor) -> Tensor:
    """``tr J / sigma`` from all d basis vectors (eq. 15), with memory bounded whatever d is.

    Returns
    -------
    Tensor
        Shape (B,), dtype and device of ``x``.

    Raises
    ------
    ValueError
        If a shape does not fit, or ``sigma`` is not positive.
    """
    noise, pullback = as_noise(sigma, x), make_pullback(eps_fn, x, t)
    d = x[0].numel()
    diagonal = []
    for chunk in chunks(d, x):
        index = torch.arange(chunk.start, chunk.stop, device=x.device)
        basis = torch.zeros(len(chunk), len(x), d, dtype=x.dtype, device=x.device)
        basis.scatter_(2, index[:, None, None].expand(-1, len(x), 1), 1)
        columns = torch.vmap(pullback)(basis.reshape(-1, *x.shape)).reshape(basis.shape)
        diagonal.append(columns.gather(2, index[:, None, None].expand(-1, len(x), 1))[:, :, 0])
    return torch.cat(diagonal).sum(dim=0) / noise


def fisher_trace_hutchinson(
    eps_fn: EpsFn, x: Tensor, t: float | Tensor, sigma: float | Tensor, num_probes: int, seed: int
) -> Tensor:
    """Estimate ``tr J / sigma`` by the mean of ``<z, J^T z> / sigma`` over random signs z (App. C.5).

    Unbiased. Its variance over ``num_probes`` probes is ``2 / num_probes sum_{i != j} S_ij^2``, S the
    symmetric part of ``J / sigma``: it is exact where S is diagonal. The signs depend on ``seed`` and the
    shape of ``x`` only, not on its device, dtype or the chunks.

    Returns
    -------
    Tensor
        Shape (B,), dtype and device of ``x``.

    Raises
    ------
    ValueError
        If a shape does not fit, ``sigma`` is not positive, or ``num_probes`` is less than one.
    """
    if num_probes < 1:
        raise ValueError(f"num_probes must be at least 1, not {num_probes}.")
    noise, pullback = as_noise(sigma, x), make_pullback(eps_fn, x, t)
    generator = torch.Generator().manual_seed(seed)
    estimates = []
    for chunk in chunks(num_probes, x):
        probes = torch.stack([torch.randint(0, 2, x.shape, generator=generator) for _ in chunk])
        signs = (2 * probes - 1).to(x)
        estimates.append((signs * torch.vmap(pullback)(signs)).flatten(2).sum(dim=2))
    return torch.cat(estimates).mean(dim=0) / noise
