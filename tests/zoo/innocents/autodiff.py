"""Products with the Jacobian of epsilon by unusual routes through torch."""

import numpy as np
import torch

from tests.zoo.innocent import innocent


@innocent("vjp-by-backward", "fisher_vector_product_vjp", "a call of .backward(), read off .grad", backend="torch")
def vjp_by_backward(x, v, t, sigma, eps_fn):
    points = x.clone().requires_grad_()
    eps_fn(points, t).backward(v)
    return points.grad / sigma


@innocent(
    "vjp-of-an-inner-product", "fisher_vector_product_vjp", "the gradient of <eps, v> as a number", backend="torch"
)
def vjp_of_an_inner_product(x, v, t, sigma, eps_fn):
    return torch.func.grad(lambda point: (eps_fn(point, t) * v).sum())(x) / sigma


@innocent(
    "vjp-one-sample-at-a-time",
    "fisher_vector_product_vjp",
    "a loop over the batch, results concatenated",
    backend="torch",
)
def vjp_one_sample_at_a_time(x, v, t, sigma, eps_fn):
    rows = []
    for b in range(len(x)):
        point = x[b : b + 1].clone().requires_grad_()
        rows.append(torch.autograd.grad(eps_fn(point, t), point, v[b : b + 1])[0])
    return torch.cat(rows) / sigma


@innocent(
    "jvp-by-two-vjps", "fisher_vector_product_jvp", "forward mode as the derivative of reverse mode", backend="torch"
)
def jvp_by_two_vjps(x, v, t, sigma, eps_fn):
    points = x.clone().requires_grad_()
    dummy = torch.zeros_like(x, requires_grad=True)
    pulled = torch.autograd.grad(eps_fn(points, t), points, dummy, create_graph=True)[0]
    return torch.autograd.grad(pulled, dummy, v)[0] / sigma


@innocent("jvp-by-functional", "fisher_vector_product_jvp", "torch.autograd.functional.jvp", backend="torch")
def jvp_by_functional(x, v, t, sigma, eps_fn):
    return torch.autograd.functional.jvp(lambda point: eps_fn(point, t), x, v)[1] / sigma


@innocent(
    "jvp-from-a-full-jacobian",
    "fisher_vector_product_jvp",
    "the whole Jacobian by jacrev, times v",
    backend="torch",
    event_shape=(6,),
)
def jvp_from_a_full_jacobian(x, v, t, sigma, eps_fn):
    jacobian = torch.vmap(torch.func.jacrev(lambda point: eps_fn(point, t)))(x)
    return (jacobian @ v[:, :, None])[:, :, 0] / sigma


@innocent(
    "trace-of-jacfwd", "fisher_trace_autodiff", "the diagonal of jacfwd under vmap", backend="torch", event_shape=(64,)
)
def trace_of_jacfwd(x, t, sigma, eps_fn):
    jacobian = torch.vmap(torch.func.jacfwd(lambda point: eps_fn(point, t)))(x)
    return torch.einsum("bii->b", jacobian) / sigma


@innocent(
    "trace-by-basis-vectors",
    "fisher_trace_autodiff",
    "one backward pass per coordinate",
    backend="torch",
    event_shape=(4, 8),
)
def trace_by_basis_vectors(x, t, sigma, eps_fn):
    points = x.clone().requires_grad_()
    eps = eps_fn(points, t)
    diagonal = [
        torch.autograd.grad(eps[(slice(None), *k)].sum(), points, retain_graph=True)[0][(slice(None), *k)]
        for k in np.ndindex(x.shape[1:])
    ]
    return torch.stack(diagonal).sum(dim=0) / sigma


@innocent(
    "trace-with-orthogonal-probes",
    "fisher_trace_autodiff",
    "Hutchinson over all columns of a Hadamard-like orthogonal matrix: exact, not random",
    backend="torch",
    event_shape=(24,),
)
def trace_with_orthogonal_probes(x, t, sigma, eps_fn):
    d = x.shape[1]
    probes = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0]
    _, pull = torch.func.vjp(lambda point: eps_fn(point, t), x)
    total = torch.zeros(len(x), dtype=torch.float64)
    for probe in probes:
        z = probe.to(x).expand_as(x)
        total += (pull(z)[0].double() * z.double()).sum(dim=1)
    # The probes are rounded to the dtype of x: their lengths are put right.
    return (total * d / probes.to(x).double().square().sum() / sigma).to(x.dtype)
