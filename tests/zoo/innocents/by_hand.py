"""Derivatives by hand-made arithmetic: complex steps and dual numbers."""

import numpy as np

from tests.zoo.innocent import innocent

TINY = 1e-30
"""A complex step needs no small difference, so it can be as small as its square may underflow."""


@innocent("complex-step-jvp", "fisher_vector_product_jvp", "J v by one complex step, in NumPy")
def complex_step_jvp(x, v, t, sigma, eps_fn):
    stepped = eps_fn(x.astype(np.complex128) + 1j * TINY * v.astype(np.float64), t)
    return (stepped.imag / TINY / sigma).astype(x.dtype)


@innocent(
    "complex-step-trace",
    "fisher_trace_autodiff",
    "each diagonal entry of J by a complex step of its own",
    event_shape=(20,),
)
def complex_step_trace(x, t, sigma, eps_fn):
    total = np.zeros(len(x))
    for k in range(x.shape[1]):
        stepped = x.astype(np.complex128)
        stepped[:, k] += 1j * TINY
        total += eps_fn(stepped, t)[:, k].imag / TINY
    return (total / sigma).astype(x.dtype)


@innocent(
    "complex-step-vjp",
    "fisher_vector_product_vjp",
    "J^T v entry by entry, a complex step for each",
    dtypes=("float64",),
    event_shape=(3, 3),
)
def complex_step_vjp(x, v, t, sigma, eps_fn):
    answer = np.empty_like(x)
    for index in np.ndindex(x.shape[1:]):
        stepped = x.astype(np.complex128)
        stepped[(slice(None), *index)] += 1j * TINY
        derivative = eps_fn(stepped, t).imag / TINY  # column of J at this index
        answer[(slice(None), *index)] = (derivative * v).sum(axis=(1, 2)) / sigma
    return answer


class Dual:
    """A number and its derivative along one direction, for arrays."""

    def __init__(self, value, slope):
        self.value, self.slope = value, slope

    def __add__(self, other):
        return Dual(self.value + other.value, self.slope + other.slope)

    def __sub__(self, other):
        return Dual(self.value - other.value, self.slope - other.slope)

    def __mul__(self, other):
        return Dual(self.value * other.value, self.slope * other.value + self.value * other.slope)

    def __truediv__(self, other):
        quotient = self.value / other.value
        return Dual(quotient, (self.slope - quotient * other.slope) / other.value)

    def scaled(self, factor):
        return Dual(self.value * factor, self.slope * factor)

    def exp(self):
        power = np.exp(self.value)
        return Dual(power, power * self.slope)

    def sum(self, axis):
        return Dual(self.value.sum(axis=axis), self.slope.sum(axis=axis))

    def column(self):
        return Dual(self.value[:, None], self.slope[:, None])


def constant(value):
    return Dual(value, np.zeros_like(value))


@innocent("dual-numbers", "fisher_vector_product", "minus the derivative of the score along v, by dual numbers")
def dual_numbers(x, v, alpha, sigma, data, weights):
    rows = []
    for point, direction in zip(x, v, strict=True):
        nearest = data[((point - alpha * data) ** 2).sum(axis=1).argmin()]
        offsets = data - nearest
        residual = Dual(point - alpha * nearest, direction)
        # Relative to the nearest atom, -|x - alpha y|^2 / 2 is alpha <o, r - alpha o / 2>.
        exponents = (constant(offsets) * (residual - constant(alpha / 2 * offsets))).sum(axis=1)
        logits = constant(np.log(weights)) + exponents.scaled(alpha / sigma**2)
        shifted = logits - constant(np.full_like(weights, logits.value.max()))
        unnormalised = shifted.exp()
        mean = (unnormalised.column() * constant(offsets)).sum(axis=0) / unnormalised.sum(axis=0)
        score = (mean.scaled(alpha) - residual).scaled(1 / sigma**2)
        rows.append(-score.slope)
    return np.stack(rows)
