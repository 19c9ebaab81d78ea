"""Stands for the code of a reader of the docs, in NumPy or torch."""

from array_api_compat import array_namespace


def trace_of_fisher(x, alpha, sigma, data):
    """Return the trace of the Fisher information, shape (B,)."""
    xp = array_namespace(x)
    answers = []
    for row in range(x.shape[0]):
        logits = -xp.sum((x[row, :] - alpha * data) ** 2, axis=1) / (2 * sigma**2)
        weights = xp.exp(logits - xp.max(logits))
        weights = weights / xp.sum(weights)
        spread = xp.sum((data - weights @ data) ** 2, axis=1)
        answers.append(x.shape[1] / sigma**2 - (alpha / sigma**2) ** 2 * (weights @ spread))
    return xp.stack(answers)
