"""Sums over the atoms in other orders, and with compensation."""

import math

import numpy as np

from tests.zoo.innocent import innocent


def _weights(point, alpha, sigma, data, weights):
    """Posterior weights at one point, shape (N,)."""
    logits = np.log(weights) - ((point - alpha * data) ** 2).sum(axis=1) / (2 * sigma**2)
    posterior = np.exp(logits - logits.max())
    return posterior / posterior.sum()


def _kahan(terms):
    total, lost = np.zeros_like(terms[0]), np.zeros_like(terms[0])
    for term in terms:
        term = term - lost
        grown = total + term
        lost = (grown - total) - term
        total = grown
    return total


@innocent("kahan-summation", "posterior_mean", "sums over the atoms by Kahan's compensated summation")
def kahan_summation(x, alpha, sigma, data, weights):
    posteriors = (_weights(point, alpha, sigma, data, weights) for point in x)
    return np.stack([_kahan(posterior[:, None] * data) for posterior in posteriors])


@innocent("python-loops-and-fsum", "fisher_trace", "no arrays: loops over Python floats, sums by math.fsum")
def python_loops_and_fsum(x, alpha, sigma, data, weights):
    atoms, prior = data.tolist(), weights.tolist()
    traces = []
    for point in x.tolist():
        logits = [
            math.log(w) - math.fsum((a - alpha * b) ** 2 for a, b in zip(point, atom, strict=True)) / (2 * sigma**2)
            for atom, w in zip(atoms, prior, strict=True)
        ]
        largest = max(logits)
        unnormalised = [math.exp(logit - largest) for logit in logits]
        total = math.fsum(unnormalised)
        variance = 0.0
        for column in zip(*atoms, strict=True):
            mean = math.fsum(w * c for w, c in zip(unnormalised, column, strict=True)) / total
            variance += math.fsum(w * (c - mean) ** 2 for w, c in zip(unnormalised, column, strict=True)) / total
        traces.append(len(point) / sigma**2 - alpha**2 / sigma**4 * variance)
    return np.array(traces, dtype=x.dtype)


@innocent("smallest-first", "fisher_vector_product", "sums over the atoms from the smallest weight to the largest")
def smallest_first(x, v, alpha, sigma, data, weights):
    answer = np.empty_like(x)
    for b, (point, direction) in enumerate(zip(x, v, strict=True)):
        posterior = _weights(point, alpha, sigma, data, weights)
        order = np.argsort(posterior)
        posterior, atoms = posterior[order], data[order]
        centred = atoms - np.add.accumulate(posterior[:, None] * atoms)[-1]
        terms = (posterior * (centred @ direction))[:, None] * centred
        answer[b] = direction / sigma**2 - alpha**2 / sigma**4 * np.add.accumulate(terms)[-1]
    return answer


@innocent("west-update", "fisher_trace", "mean and variance in one pass by West's update")
def west_update(x, alpha, sigma, data, weights):
    answer = np.empty(len(x), x.dtype)
    for b, point in enumerate(x):
        total, mean, scatter = x.dtype.type(0), np.zeros_like(point), x.dtype.type(0)
        for weight, atom in zip(_weights(point, alpha, sigma, data, weights), data, strict=True):
            if weight > 0:
                gap = atom - mean
                step = weight / (total + weight) * gap
                mean, scatter = mean + step, scatter + total * (gap * step).sum()
                total = total + weight
        answer[b] = x.shape[1] / sigma**2 - alpha**2 / sigma**4 * scatter / total
    return answer


@innocent("chan-tree", "fisher", "covariances of halves of the data, merged recursively by Chan's formula")
def chan_tree(x, alpha, sigma, data, weights):
    def moments(posterior, atoms):
        if len(atoms) == 1:
            return posterior[0], atoms[0], np.zeros((x.shape[1], x.shape[1]), x.dtype)
        half = len(atoms) // 2
        mass, mean, scatter = moments(posterior[:half], atoms[:half])
        other_mass, other_mean, other_scatter = moments(posterior[half:], atoms[half:])
        total = mass + other_mass
        if total == 0:
            return mass, mean, scatter
        gap, share = other_mean - mean, other_mass / total
        return total, mean + share * gap, scatter + other_scatter + mass * share * np.outer(gap, gap)

    identity = np.eye(x.shape[1], dtype=x.dtype)
    answer = []
    for point in x:
        mass, _, scatter = moments(_weights(point, alpha, sigma, data, weights), data)
        answer.append(identity / sigma**2 - alpha**2 / sigma**4 * (scatter / mass))
    return np.stack(answer)


@innocent("double-accumulator", "fisher_trace", "float32 in, float32 out, float64 in between", dtypes=("float32",))
def double_accumulator(x, alpha, sigma, data, weights):
    atoms = data.astype(np.float64)
    answer = np.empty(len(x))
    for b, point in enumerate(x.astype(np.float64)):
        posterior = _weights(point, alpha, sigma, atoms, weights.astype(np.float64))
        variance = posterior @ ((atoms - posterior @ atoms) ** 2).sum(axis=1)
        answer[b] = x.shape[1] / sigma**2 - alpha**2 / sigma**4 * variance
    return answer.astype(x.dtype)


@innocent("atoms-in-random-order", "fisher_vector_product", "shuffles the atoms first, differently at every call")
def atoms_in_random_order(x, v, alpha, sigma, data, weights):
    order = np.random.default_rng().permutation(len(data))
    data, weights = data[order], weights[order]
    answer = np.empty_like(x)
    for b, (point, direction) in enumerate(zip(x, v, strict=True)):
        posterior = _weights(point, alpha, sigma, data, weights)
        centred = data - posterior @ data
        along = posterior * (centred @ direction)
        answer[b] = direction / sigma**2 - alpha**2 / sigma**4 * (along @ centred)
    return answer
