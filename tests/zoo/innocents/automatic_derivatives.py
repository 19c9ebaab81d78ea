"""F as what it is, minus the Hessian of the log density, by torch's automatic differentiation.

The log density is measured from the likeliest atom, whose share is a plain quadratic: differentiating the squared
distances themselves twice would lose the digits that they have in common (see ``that_lose_digits``).
"""

import torch

from tests.zoo.innocent import innocent


def log_density(point, alpha, sigma, data, weights):
    """``log q_t`` at one point (d,), up to a constant."""
    with torch.no_grad():
        nearest = data[(weights.log() - (point - alpha * data).square().sum(dim=1) / (2 * sigma**2)).argmax()]
        offsets = data - nearest
    residual = point - alpha * nearest
    # A difference of squared distances as a product with the point's distance from the middle of two atoms.
    exponents = alpha / sigma**2 * (offsets * (residual - alpha / 2 * offsets)).sum(dim=1)
    return (weights.log() + exponents).logsumexp(dim=0) - residual.square().sum() / (2 * sigma**2)


def _gradient(x, alpha, sigma, data, weights):
    points = x.clone().requires_grad_()
    total = sum(log_density(point, alpha, sigma, data, weights) for point in points)
    return points, torch.autograd.grad(total, points, create_graph=True)[0]


@innocent("gradient-of-the-log-density", "score", "torch.autograd.grad of the log density", backend="torch")
def gradient_of_the_log_density(x, alpha, sigma, data, weights):
    return _gradient(x, alpha, sigma, data, weights)[1].detach()


@innocent("autograd-hessian", "fisher", "torch.autograd.functional.hessian of the log density", backend="torch")
def autograd_hessian(x, alpha, sigma, data, weights):
    def density(point):
        return log_density(point, alpha, sigma, data, weights)

    return torch.stack([-torch.autograd.functional.hessian(density, point) for point in x])


@innocent("double-backward", "fisher_vector_product", "backward through the backward pass", backend="torch")
def double_backward(x, v, alpha, sigma, data, weights):
    points, score = _gradient(x, alpha, sigma, data, weights)
    return -torch.autograd.grad(score, points, v)[0]


@innocent("forward-over-reverse", "fisher_vector_product", "torch.func.jvp of torch.func.grad", backend="torch")
def forward_over_reverse(x, v, alpha, sigma, data, weights):
    rows = []
    for point, direction in zip(x, v, strict=True):
        score = torch.func.grad(lambda p: log_density(p, alpha, sigma, data, weights))
        rows.append(-torch.func.jvp(score, (point,), (direction,))[1])
    return torch.stack(rows)


@innocent("jacfwd-of-jacrev", "fisher", "torch.func.jacfwd of torch.func.jacrev", backend="torch")
def jacfwd_of_jacrev(x, alpha, sigma, data, weights):
    hessian = torch.func.jacfwd(torch.func.jacrev(log_density))
    return -torch.stack([hessian(point, alpha, sigma, data, weights) for point in x])


@innocent(
    "trace-of-a-vmapped-hessian",
    "fisher_trace",
    "the diagonal of torch.func.hessian, up to d = 64",
    backend="torch",
    event_shape=(64,),
)
def trace_of_a_vmapped_hessian(x, alpha, sigma, data, weights):
    def density(point):
        nearest = (weights.log() - (point - alpha * data).square().sum(dim=1) / (2 * sigma**2)).detach().argmax()
        nearest = data[nearest[None]][0]
        offsets, residual = data - nearest, point - alpha * nearest
        exponents = alpha / sigma**2 * (offsets * (residual - alpha / 2 * offsets)).sum(dim=1)
        return (weights.log() + exponents).logsumexp(dim=0) - residual.square().sum() / (2 * sigma**2)

    return -torch.vmap(torch.func.hessian(density))(x).diagonal(dim1=1, dim2=2).sum(dim=1)


@innocent("custom-backward", "score", "a torch.autograd.Function with a backward of its own", backend="torch")
def custom_backward(x, alpha, sigma, data, weights):
    points = x.clone().requires_grad_()
    _LogDensity.apply(points, alpha, sigma, data, weights).sum().backward()
    return points.grad


class _LogDensity(torch.autograd.Function):
    @staticmethod
    def forward(context, x, alpha, sigma, data, weights):
        residuals = x[:, None] - alpha * data
        logits = weights.log() - residuals.square().sum(dim=2) / (2 * sigma**2)
        context.save_for_backward(residuals, logits.softmax(dim=1))
        context.variance = sigma**2
        return logits.logsumexp(dim=1)

    @staticmethod
    def backward(context, upstream):
        residuals, posterior = context.saved_tensors
        score = -(posterior[:, None] @ residuals)[:, 0] / context.variance
        return upstream[:, None] * score, None, None, None, None
