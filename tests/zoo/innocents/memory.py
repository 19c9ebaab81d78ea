"""Unusual arrays: Fortran order, views, buffers, work in place on copies of their own."""

import functools

import numpy as np
import torch

from tests.zoo.innocent import innocent


def _weights(point, alpha, sigma, data, weights):
    logits = np.log(weights) - ((point - alpha * data) ** 2).sum(axis=1) / (2 * sigma**2)
    posterior = np.exp(logits - logits.max())
    return posterior / posterior.sum()


@innocent("fortran-order", "fisher", "copies everything to column-major arrays and returns one")
def fortran_order(x, alpha, sigma, data, weights):
    data = np.asfortranarray(data)
    answer = np.empty((len(x), x.shape[1], x.shape[1]), x.dtype, order="F")
    for b, point in enumerate(x):
        posterior = _weights(point, alpha, sigma, data, weights)
        centred = data - posterior @ data
        answer[b] = np.eye(x.shape[1]) / sigma**2 - alpha**2 / sigma**4 * (centred.T * posterior) @ centred
    return answer


@innocent("read-only-view", "score", "returns a read-only view of every second column, in reverse")
def read_only_view(x, alpha, sigma, data, weights):
    buffer = np.full((len(x), 2 * x.shape[1]), np.nan, x.dtype)
    for b, point in enumerate(x):
        residual = _weights(point, alpha, sigma, data, weights) @ (point - alpha * data)
        buffer[b, ::2] = (-residual / sigma**2)[::-1]
    view = buffer[:, ::2][:, ::-1]
    view.setflags(write=False)
    return view


@innocent("in-place-on-copies", "posterior_mean", "nothing but in-place torch operations, on copies", backend="torch")
def in_place_on_copies(x, alpha, sigma, data, weights):
    work = data.clone().mul_(-alpha).unsqueeze(0).repeat(len(x), 1, 1)
    logits = work.add_(x[:, None]).square_().sum(dim=2).div_(-2 * sigma**2).add_(weights.log())
    logits.sub_(logits.amax(dim=1, keepdim=True)).exp_()
    return logits.div_(logits.sum(dim=1, keepdim=True)).matmul(data)


@innocent("writes-into-buffers", "fisher_vector_product", "every result goes into a preallocated out= buffer")
def writes_into_buffers(x, v, alpha, sigma, data, weights):
    answer, work, row = np.empty_like(x), np.empty_like(data), np.empty(len(data), x.dtype)
    log_weights = np.log(weights)
    for b in range(len(x)):
        np.multiply(data, alpha, out=work)
        np.subtract(x[b], work, out=work)
        np.multiply(work, work, out=work)
        np.sum(work, axis=1, out=row)
        row *= -1 / (2 * sigma**2)
        row += log_weights
        row -= row.max()
        np.exp(row, out=row)
        row /= row.sum()
        np.subtract(data, row @ data, out=work)
        row *= work @ v[b]
        np.matmul(row, work, out=answer[b])
        answer[b] *= -((alpha / sigma) ** 2)
        answer[b] += v[b]
        answer[b] /= sigma**2
    return answer


@innocent("remembers-the-data", "score", "keeps a table of what depends on the data alone, and looks it up by value")
def remembers_the_data(x, alpha, sigma, data, weights):
    atoms, logs = _prepared(data.tobytes(), weights.tobytes(), data.shape, data.dtype.name)
    rows = []
    for point in x:
        gaps = alpha * atoms - point
        logits = logs - (gaps**2).sum(axis=1) / (2 * sigma**2)
        posterior = np.exp(logits - logits.max())
        rows.append(posterior @ gaps / posterior.sum() / sigma**2)
    return np.stack(rows)


@functools.lru_cache(maxsize=4)
def _prepared(data, weights, shape, dtype):
    return np.frombuffer(data, dtype).reshape(shape), np.log(np.frombuffer(weights, dtype))


@innocent(
    "needs-no-gradient", "posterior_mean", "under torch.inference_mode: returns an inference tensor", backend="torch"
)
def needs_no_gradient(x, alpha, sigma, data, weights):
    with torch.inference_mode():
        logits = weights.log() - (x[:, None] - alpha * data).square().sum(dim=2) / (2 * sigma**2)
        return logits.softmax(dim=1) @ data


@innocent("still-in-the-graph", "score", "returns a tensor that requires a gradient", backend="torch")
def still_in_the_graph(x, alpha, sigma, data, weights):
    points = x.clone().requires_grad_()
    residuals = points[:, None] - alpha * data
    posterior = (weights.log() - residuals.square().sum(dim=2) / (2 * sigma**2)).softmax(dim=1)
    return -torch.einsum("bn,bnd->bd", posterior, residuals) / sigma**2
