"""JAX: transformations along the wrong axis, stale closures, indices that are clamped."""

import jax
import jax.numpy as jnp
from jax import lax

from tests.zoo.specimen import Fault, mutant


def _exponents(x, alpha, sigma, data):
    return -((x[:, None] - alpha * data) ** 2).sum(axis=2) / (2 * sigma**2)


def _centred(posterior, data):
    offsets = data - data[posterior.argmax(axis=1)][:, None]
    return offsets - jnp.einsum("bn,bnd->bd", posterior, offsets)[:, None]


@mutant("fisher_vector_product_vjp", "jax", "jax.jvp for jax.vjp.", Fault.TRANSPOSED, only="dirac")
def jax_jvp_for_vjp(eps_fn, x, v, t, sigma):
    return jax.jvp(lambda point: eps_fn(point, t), (x,), (v,))[1] / sigma


@mutant("fisher_vector_product", "jax", "stop_gradient around the weights.", Fault.DETACHED)
def gradient_stopped(x, v, alpha, sigma, data):
    def score(point):
        differences = point - alpha * data
        posterior = lax.stop_gradient(jax.nn.softmax(-(differences**2).sum(axis=1) / (2 * sigma**2)))
        return -posterior @ differences / sigma**2

    return -jax.vmap(lambda point, direction: jax.jvp(score, (point,), (direction,))[1])(x, v)


@mutant("score", "jax", "jax.nn.softmax(axis=0): over the batch.", Fault.WRONG_AXIS)
def softmax_axis_zero(x, alpha, sigma, data):
    posterior = jax.nn.softmax(_exponents(x, alpha, sigma, data), axis=0)
    return -jnp.einsum("bn,bnd->bd", posterior, x[:, None] - alpha * data) / sigma**2


@mutant("posterior_mean", "jax", "The last chunk of two overlaps: dynamic_slice clamps its start.", Fault.MINIBATCH)
def clamped_slice(x, alpha, sigma, data):
    exponents = _exponents(x, alpha, sigma, data)
    weights = jnp.exp(exponents - exponents.max(axis=1, keepdims=True))
    size = min(2, len(data))
    total, weighted = 0, 0
    for start in range(0, len(data), size):
        chunk = lax.dynamic_slice_in_dim(weights, start, size, axis=1)
        total = total + chunk.sum(axis=1, keepdims=True)
        weighted = weighted + chunk @ lax.dynamic_slice_in_dim(data, start, size, axis=0)
    return weighted / total


@mutant("fisher_trace", "jax", "Jitted once per shape: the first call's noise is a constant in it.", Fault.STATE)
class StaleClosure:
    def __init__(self):
        self.compiled = {}

    def __call__(self, x, alpha, sigma, data):
        def trace(points, atoms):
            posterior = jax.nn.softmax(_exponents(points, alpha, sigma, atoms), axis=1)
            variance = (posterior * (_centred(posterior, atoms) ** 2).sum(axis=2)).sum(axis=1)
            return points.shape[1] / sigma**2 - alpha**2 / sigma**4 * variance

        return self.compiled.setdefault((x.shape, data.shape, x.dtype), jax.jit(trace))(x, data)


@mutant(
    "fisher_trace_matching",
    "jax",
    "float32 constants: |y|^2 is summed in single precision.",
    Fault.LOW_PRECISION,
    dtypes=("float64",),
)
def summed_in_single(x, alpha, sigma, eps, head):
    mean = ((x - sigma * eps) / alpha).astype(jnp.float32)
    d = x.shape[1]
    return d / sigma**2 - alpha**2 / sigma**4 * (d * head - (mean**2).sum(axis=1))
