"""Right in a part of the cases only: guards, clipping, regimes, assumed structure, finite steps, low precision."""

import numpy as np

from tests.zoo.building_blocks import (
    centred,
    column,
    covariance,
    covariance_product,
    mean,
    posterior,
    softmax,
    squared_distances,
    variance,
)
from tests.zoo.specimen import Fault, mutant


@mutant("fisher_vector_product", "numpy", "1e-5 added to sigma^2, against dividing by zero.", Fault.EPSILON)
def variance_plus_epsilon(x, v, alpha, sigma, data):
    safe = sigma**2 + 1e-5
    p = posterior(x, alpha, safe**0.5, data)
    return v / safe - alpha**2 / safe**2 * covariance_product(p, data, v)


@mutant("score", "numpy", "1e-8 added to sigma^2 of the score, not of the weights.", Fault.EPSILON)
def divisor_plus_epsilon(x, alpha, sigma, data):
    return (alpha * mean(posterior(x, alpha, sigma, data), data) - x) / (sigma**2 + 1e-8)


@mutant("posterior_mean", "numpy", "1e-5 added to the sum of the weights.", Fault.EPSILON)
def sum_plus_epsilon(x, alpha, sigma, data):
    distances = squared_distances(x, alpha, data)
    weights = np.exp((distances.min(axis=1, keepdims=True) - distances) / (2 * sigma**2))
    return weights @ data / (weights.sum(axis=1, keepdims=True) + 1e-5)


@mutant("fisher_trace", "numpy", "1e-10 added to the sum of the weights.", Fault.EPSILON, dtypes=("float64",))
def sum_plus_small_epsilon(x, alpha, sigma, data, weights):
    logits = np.log(weights) - squared_distances(x, alpha, data) / (2 * sigma**2)
    unnormalised = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = unnormalised / (unnormalised.sum(axis=1, keepdims=True) + 1e-10)
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * variance(p, data)


@mutant("fisher", "numpy", "1e-6 on the diagonal of the covariance: regularised.", Fault.EPSILON)
def regularised_covariance(x, alpha, sigma, data):
    identity = np.eye(x.shape[1], dtype=x.dtype)
    regularised = covariance(posterior(x, alpha, sigma, data), data) + 1e-6 * identity
    return identity / sigma**2 - alpha**2 / sigma**4 * regularised


@mutant("fisher_trace_matching", "numpy", "1e-4 added to alpha before dividing.", Fault.EPSILON)
def alpha_plus_epsilon(x, alpha, sigma, eps, head):
    y = (x - sigma * eps) / (alpha + 1e-4)
    d = x.shape[1]
    return d / sigma**2 - alpha**2 / sigma**4 * (d * head - (y**2).sum(axis=1))


@mutant("fisher_vector_product_endpoint", "numpy", "1e-5 added to sigma^2.", Fault.EPSILON)
def endpoint_variance_plus_epsilon(x, v, x0, eps, alpha, sigma):
    safe = sigma**2 + 1e-5
    y = (x - sigma * eps) / alpha
    outer = (x0 * v).sum(axis=1, keepdims=True) * x0 - (y * v).sum(axis=1, keepdims=True) * y
    return v / safe - alpha**2 / safe**2 * outer


@mutant("fisher_trace", "numpy", "Exponents clipped at -12 below their maximum.", Fault.CLIPPED)
def exponents_clipped(x, alpha, sigma, data):
    distances = squared_distances(x, alpha, data)
    p = softmax(np.maximum((distances.min(axis=1, keepdims=True) - distances) / (2 * sigma**2), -12))
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * variance(p, data)


@mutant("score", "numpy", "Exponents clipped at -80, their maximum not subtracted.", Fault.CLIPPED)
def exponents_clipped_from_zero(x, alpha, sigma, data):
    weights = np.exp(np.maximum(-squared_distances(x, alpha, data) / (2 * sigma**2), -80))
    p = weights / weights.sum(axis=1, keepdims=True)
    return (alpha * mean(p, data) - x) / sigma**2


@mutant("posterior_mean", "numpy", "Clipped to [-1, 1], as images are: clip_sample.", Fault.CLIPPED, only="dirac")
def clipped_to_images(x, alpha, sigma, data, weights):
    return mean(posterior(x, alpha, sigma, data, weights), data).clip(-1, 1)


@mutant("score", "numpy", "sigma not below 0.002, the smallest of Karras et al.", Fault.CLIPPED)
def smallest_sigma(x, alpha, sigma, data):
    sigma = max(sigma, 0.002)
    return (alpha * mean(posterior(x, alpha, sigma, data), data) - x) / sigma**2


@mutant("posterior_mean", "numpy", "alpha not below 0.01, against dividing by zero.", Fault.CLIPPED)
def smallest_alpha(x, alpha, sigma, eps):
    return (x - sigma * eps) / max(alpha, 0.01)


@mutant("fisher_trace", "numpy", "Not below zero, as if information could not be negative.", Fault.CLIPPED)
def not_negative(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    return np.maximum(x.shape[1] / sigma**2 - alpha**2 / sigma**4 * variance(p, data), 0)


@mutant("fisher", "numpy", "Negative eigenvalues set to zero: made positive semidefinite.", Fault.CLIPPED)
def made_semidefinite(x, alpha, sigma, data):
    identity = np.eye(x.shape[1], dtype=x.dtype)
    right = identity / sigma**2 - alpha**2 / sigma**4 * covariance(posterior(x, alpha, sigma, data), data)
    values, vectors = np.linalg.eigh(right)
    return (vectors * np.maximum(values, 0)[:, None]) @ vectors.swapaxes(1, 2)


@mutant("fisher_trace", "numpy", "d / sigma^2 above a log-SNR of 10: one atom is thought to decide there.", Fault.NOISE)
def shortcut_at_high_snr(x, alpha, sigma, data):
    if alpha / sigma > np.exp(5):
        return np.full(len(x), x.shape[1] / sigma**2, x.dtype)
    p = posterior(x, alpha, sigma, data)
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * variance(p, data)


@mutant("score", "numpy", "-x / sigma^2 below a log-SNR of -10: only noise is thought to be left.", Fault.NOISE)
def shortcut_at_low_snr(x, alpha, sigma, data):
    if alpha / sigma < np.exp(-5):
        return -x / sigma**2
    return (alpha * mean(posterior(x, alpha, sigma, data), data) - x) / sigma**2


@mutant("fisher_vector_product", "numpy", "First order in alpha^2 / sigma^2: prior weights.", Fault.WEIGHTS_WRONG)
def first_order_in_snr(x, v, alpha, sigma, data):
    prior = np.full((len(x), len(data)), 1 / len(data), x.dtype)
    return v / sigma**2 - alpha**2 / sigma**4 * covariance_product(prior, data, v)


@mutant("fisher", "numpy", "Only next neighbours covary: right up to d = 2.", Fault.DIMENSION)
def tridiagonal(x, alpha, sigma, data):
    d = x.shape[1]
    band = np.abs(np.subtract.outer(np.arange(d), np.arange(d))) <= 1
    full = covariance(posterior(x, alpha, sigma, data), data)
    return np.eye(d, dtype=x.dtype) / sigma**2 - alpha**2 / sigma**4 * full * band


@mutant("fisher_trace", "numpy", "Variances of the first two coordinates only.", Fault.DIMENSION)
def two_coordinates(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * variance(p, data[:, :2])


@mutant("score", "numpy", "The atoms' norm left out of the exponent: right if all have the same.", Fault.WEIGHTS_WRONG)
def inner_products_only(x, alpha, sigma, data):
    p = softmax(alpha / sigma**2 * (x @ data.T))
    return (alpha * mean(p, data) - x) / sigma**2


@mutant("posterior_mean", "numpy", "Atoms centred, x not: right for centred data only.", Fault.OFFSET)
def only_atoms_centred(x, alpha, sigma, data):
    centre = data.mean(axis=0)
    p = posterior(x, alpha, sigma, data - centre)
    return centre + mean(p, data - centre)


@mutant("fisher", "numpy", "The variances alone: coordinates taken for independent.", Fault.STRUCTURE)
def diagonal_only(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    diagonal = np.einsum("bn,bni->bi", p, centred(p, data) ** 2)
    return np.eye(x.shape[1], dtype=x.dtype) * (1 / sigma**2 - alpha**2 / sigma**4 * diagonal)[:, :, None]


@mutant("fisher_vector_product", "numpy", "A circulant covariance, by FFT: stationarity assumed.", Fault.STRUCTURE)
def circulant(x, v, alpha, sigma, data):
    residuals = np.fft.fft(centred(posterior(x, alpha, sigma, data), data), axis=2)
    p = posterior(x, alpha, sigma, data)
    spectrum = np.einsum("bn,bni->bi", p, np.abs(residuals) ** 2) / x.shape[1]
    product = np.fft.ifft(spectrum * np.fft.fft(v, axis=1), axis=1).real.astype(x.dtype)
    return v / sigma**2 - alpha**2 / sigma**4 * product


@mutant("fisher_vector_product", "numpy", "The covariance's first eigenvector only.", Fault.STRUCTURE)
def rank_one(x, v, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    residuals = np.sqrt(p)[:, :, None] * centred(p, data)
    _, values, vectors = np.linalg.svd(residuals, full_matrices=False)
    inner = values[:, 0] ** 2 * (vectors[:, 0] * v).sum(axis=1)
    return v / sigma**2 - alpha**2 / sigma**4 * inner[:, None] * vectors[:, 0]


@mutant("fisher_trace", "numpy", "An isotropic covariance: that of the first coordinate, times d.", Fault.STRUCTURE)
def isotropic(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    return x.shape[1] * (1 / sigma**2 - alpha**2 / sigma**4 * variance(p, data[:, :1]))


@mutant("fisher", "numpy", "The Hessian by differences of the score with a fixed step.", Fault.STEP)
def fixed_step(x, alpha, sigma, data):
    step = 1e-3

    def score(points):
        return (alpha * mean(posterior(points, alpha, sigma, data), data) - points) / sigma**2

    shifts = step * np.eye(x.shape[1], dtype=x.dtype)
    return np.stack([(score(x - shift) - score(x + shift)) / (2 * step) for shift in shifts], axis=2)


@mutant("fisher_vector_product_jvp", "numpy", "A complex step that is no small one.", Fault.STEP)
def large_complex_step(eps_fn, x, v, t, sigma):
    step = 1e-3 * sigma
    return (eps_fn(x + 1j * step * v, t).imag / step / sigma).astype(x.dtype)


@mutant("fisher_vector_product_jvp", "numpy", "A one-sided difference with the step of a two-sided one.", Fault.STEP)
def one_sided_difference(eps_fn, x, v, t, sigma):
    step = np.cbrt(np.finfo(x.dtype).eps) * sigma
    return (eps_fn(x + step * v, t) - eps_fn(x, t)) / step / sigma


@mutant("fisher_trace_autodiff", "numpy", "The real part after a complex step: no derivative at all.", Fault.STEP)
def real_part_of_complex_step(eps_fn, x, t, sigma):
    step = 1e-20
    trace = np.zeros(len(x), x.dtype)
    for k in range(x.shape[1]):
        shift = 1j * step * np.eye(x.shape[1])[k]
        trace += (eps_fn(x + shift, t)[:, k].real - eps_fn(x, t)[:, k]) / step
    return trace / sigma


@mutant("fisher_trace", "numpy", "float32 inside, float64 outside.", Fault.LOW_PRECISION, dtypes=("float64",))
def single_inside(x, alpha, sigma, data):
    points, atoms = x.astype(np.float32), data.astype(np.float32)
    p = posterior(points, alpha, sigma, atoms)
    return (x.shape[1] / sigma**2 - alpha**2 / sigma**4 * variance(p, atoms)).astype(x.dtype)


@mutant("score", "numpy", "Distances in float16.", Fault.LOW_PRECISION)
def half_precision_distances(x, alpha, sigma, data):
    scaled = squared_distances(x, alpha, data) / (2 * column(sigma) ** 2)
    exponents = (scaled.min(axis=1, keepdims=True) - scaled).clip(-6e4, 0).astype(np.float16)
    return (alpha * mean(softmax(exponents.astype(x.dtype)), data) - x) / sigma**2


@mutant("fisher_vector_product", "numpy", "Posterior weights rounded to three decimals.", Fault.LOW_PRECISION)
def weights_rounded(x, v, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data).round(3)
    return v / sigma**2 - alpha**2 / sigma**4 * covariance_product(p, data, v)
