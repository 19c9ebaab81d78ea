"""JAX: compiled, differentiated, mapped."""

import jax
import jax.numpy as jnp

from tests.zoo.innocent import innocent


def _log_density(point, alpha, sigma, data, weights):
    """``log q_t`` at one point (d,), up to a constant, measured from the likeliest atom."""
    distances = ((point - alpha * data) ** 2).sum(axis=1)
    nearest = jax.lax.stop_gradient(data[jnp.argmax(jnp.log(weights) - distances / (2 * sigma**2))])
    offsets, residual = data - nearest, point - alpha * nearest
    exponents = alpha / sigma**2 * (offsets * (residual - alpha / 2 * offsets)).sum(axis=1)
    return jax.nn.logsumexp(jnp.log(weights) + exponents) - (residual**2).sum() / (2 * sigma**2)


@jax.jit
def _posterior_mean(x, alpha, sigma, data, weights):
    distances = ((x[:, None] - alpha * data) ** 2).sum(axis=2)
    return jax.nn.softmax(jnp.log(weights) - distances / (2 * sigma**2), axis=1) @ data


@innocent("jax-jit", "posterior_mean", "jax.jit", backend="jax")
def jax_jit(x, alpha, sigma, data, weights):
    return _posterior_mean(x, alpha, sigma, data, weights)


@jax.jit
def _score(x, alpha, sigma, data, weights):
    return jax.vmap(jax.grad(_log_density), (0, None, None, None, None))(x, alpha, sigma, data, weights)


@innocent("jax-grad", "score", "jax.vmap of jax.grad of the log density, compiled", backend="jax")
def jax_grad(x, alpha, sigma, data, weights):
    return _score(x, alpha, sigma, data, weights)


@jax.jit
def _fisher(x, alpha, sigma, data, weights):
    # Not jax.hessian: for some N above 1,000 what XLA makes of forward over reverse in float32, on the processor, is
    # off by as much as the covariance itself (jax 0.10.2; uncompiled it is right, and so is this).
    hessian = jax.jacrev(jax.jacrev(_log_density))
    return -jax.vmap(hessian, (0, None, None, None, None))(x, alpha, sigma, data, weights)


# Every size is compiled anew, which takes long: the precision in which what XLA makes of it has been wrong will do.
@innocent(
    "jax-hessian",
    "fisher",
    "jax.jacrev of jax.jacrev of the log density, compiled",
    backend="jax",
    dtypes=("float32",),
)
def jax_hessian(x, alpha, sigma, data, weights):
    return _fisher(x, alpha, sigma, data, weights)


# Every case is another eps_fn, and is compiled anew: one precision will do.
@innocent(
    "jax-vjp",
    "fisher_vector_product_vjp",
    "jax.vjp of eps_fn, compiled",
    backend="jax",
    dtypes=("float32",),
    event_shape=(7,),
)
def jax_vjp(x, v, t, sigma, eps_fn):
    return jax.jit(lambda x, v: jax.vjp(lambda point: eps_fn(point, t), x)[1](v)[0] / sigma)(x, v)


@innocent(
    "jax-scan", "fisher_trace", "jax.lax.scan over the atoms with running maximum, mean and scatter", backend="jax"
)
def jax_scan(x, alpha, sigma, data, weights):
    return _scan(x, alpha, sigma, data, weights)


@jax.jit
def _scan(x, alpha, sigma, data, weights):
    def one(point):
        def step(state, atom_and_weight):
            largest, mass, mean, scatter = state
            atom, weight = atom_and_weight
            logit = jnp.log(weight) - ((point - alpha * atom) ** 2).sum() / (2 * sigma**2)
            grown = jnp.maximum(largest, logit)
            mass, new = mass * jnp.exp(largest - grown), jnp.exp(logit - grown)
            total, gap = mass + new, atom - mean
            scatter = scatter * jnp.exp(largest - grown) + mass * new / total * (gap * gap).sum()
            return (grown, total, mean + new / total * gap, scatter), None

        start = (jnp.asarray(-jnp.inf, x.dtype), jnp.zeros((), x.dtype), jnp.zeros_like(point), jnp.zeros((), x.dtype))
        (_, mass, _, scatter), _ = jax.lax.scan(step, start, (data, weights))
        return (x.shape[1] - (alpha / sigma) ** 2 * scatter / mass) / sigma**2

    return jax.vmap(one)(x)
