"""Wrong implementations in JAX, as somebody else would write them.

Part of the second held-out set: see :mod:`tests.diagnosis.registry`. Nothing here comes from the zoo.
"""

import jax
import jax.numpy as jnp

from afi_properties.diagnosis import Family, Fault
from tests.diagnosis.registry import wrong


def _log_density(point, alpha, sigma, data):
    return jax.nn.logsumexp(-jnp.sum((point - alpha * data) ** 2, axis=-1) / (2 * sigma**2))


@wrong("score", Fault.POWER_OF_ALPHA, {Family.NOISE_LEVEL, Family.WEIGHTS}, backend="jax")
def atoms_as_they_are(x, alpha, sigma, data):
    return jax.vmap(jax.grad(lambda point: _log_density(point, 1.0, sigma, data)))(x)


@wrong("score", Fault.WEIGHTS_WRONG, backend="jax")
def prior_to_the_half(x, alpha, sigma, data, weights):
    logits = 0.5 * jnp.log(weights) - jnp.sum((x[:, None] - alpha * data) ** 2, -1) / (2 * sigma**2)
    return (alpha * jax.nn.softmax(logits) @ data - x) / sigma**2


@wrong("posterior_mean", Fault.POWER_OF_SIGMA, backend="jax")
def tweedie_with_sigma(x, alpha, sigma, data):
    score = jax.vmap(jax.grad(lambda point: _log_density(point, alpha, sigma, data)))(x)
    return (x + sigma * score) / alpha


@wrong("fisher", Fault.STRUCTURE, backend="jax")
def diagonal_of_the_hessian(x, alpha, sigma, data):
    fisher = -jax.vmap(jax.hessian(lambda point: _log_density(point, alpha, sigma, data)))(x)
    return fisher * jnp.eye(x.shape[1], dtype=x.dtype)


@wrong("fisher", Fault.TERM_DOUBLED, backend="jax")
def covariance_twice(x, alpha, sigma, data):
    r = jax.nn.softmax(-jnp.sum((x[:, None] - alpha * data) ** 2, -1) / (2 * sigma**2))
    away = data - (r @ data)[:, None]
    cov = jnp.einsum("bn,bni,bnj->bij", r, away, away)
    return jnp.eye(x.shape[1], dtype=x.dtype) / sigma**2 - 2 * alpha**2 / sigma**4 * cov


@wrong("fisher_trace", Fault.LOW_PRECISION, backend="jax", dtypes=("float64",))
def cast_to_float32(x, alpha, sigma, data):
    x, data = x.astype(jnp.float32), data.astype(jnp.float32)
    r = jax.nn.softmax(-jnp.sum((x[:, None] - alpha * data) ** 2, -1) / (2 * sigma**2))
    away = data - (r @ data)[:, None]
    return (x.shape[1] / sigma**2 - alpha**2 / sigma**4 * (r * (away**2).sum(-1)).sum(-1)).astype(jnp.float64)


@wrong("fisher_trace", Fault.DIAGONAL, {Family.MATRIX}, backend="jax")
def all_entries_of_the_hessian(x, alpha, sigma, data):
    return -jax.vmap(jax.hessian(lambda point: _log_density(point, alpha, sigma, data)))(x).sum((1, 2))


@wrong("fisher_trace", Fault.ALPHA_BAR, {Family.NOISE_LEVEL}, backend="jax")
def sigma_is_one_minus_alpha_bar(x, alpha, alpha_bar, data):
    sigma = jnp.maximum(1 - alpha_bar, 1e-3)
    fisher = -jax.vmap(jax.hessian(lambda point: _log_density(point, alpha, sigma, data)))(x)
    return jnp.trace(fisher, axis1=1, axis2=2)


@wrong("fisher_vector_product", Fault.TERM_DROPPED, backend="jax")
def trivial_operator(x, v, alpha, sigma, data):
    return v / sigma**2


@wrong("fisher_vector_product", Fault.SIGN, backend="jax")
def hessian_vector_product(x, v, alpha, sigma, data):
    def product(point, direction):
        return jax.jvp(jax.grad(lambda p: _log_density(p, alpha, sigma, data)), (point,), (direction,))[1]

    return jax.vmap(product)(x, v)


@wrong("fisher_vector_product_jvp", Fault.TRANSPOSED, backend="jax")
def gradient_of_inner_product(eps_fn, x, v, t, sigma):
    return jax.grad(lambda point: jnp.vdot(eps_fn(point, t), v))(x) / sigma


@wrong("fisher_vector_product_jvp", Fault.PREDICTION_TYPE, {Family.TERMS, Family.NOISE_LEVEL}, backend="jax")
def derivative_of_mean(eps_fn, x, v, t, alpha, sigma):
    return jax.jvp(lambda point: (point - sigma * eps_fn(point, t)) / alpha, (x,), (v,))[1] / sigma
