"""The posterior covariance by other ways than a sum of outer products about the mean."""

import numpy as np
from scipy.sparse.linalg import LinearOperator
from scipy.spatial.distance import pdist, squareform

from tests.zoo.innocent import innocent


def _weights(point, alpha, sigma, data, weights):
    """Posterior weights at one point, shape (N,)."""
    logits = np.log(weights) - ((point - alpha * data) ** 2).sum(axis=1) / (2 * sigma**2)
    posterior = np.exp(logits - logits.max())
    return posterior / posterior.sum()


def _root(point, alpha, sigma, data, weights):
    """R, shape (N, d), with ``R^T R = alpha^2 / sigma^2 Cov``."""
    posterior = _weights(point, alpha, sigma, data, weights)
    return alpha / sigma * np.sqrt(posterior)[:, None] * (data - posterior @ data)


@innocent("singular-values", "fisher", "eigenvectors of F from the SVD of the centred, weighted atoms")
def singular_values(x, alpha, sigma, data, weights):
    answer = []
    for point in x:
        _, values, rows = np.linalg.svd(_root(point, alpha, sigma, data, weights), full_matrices=False)
        answer.append((np.eye(x.shape[1], dtype=x.dtype) - (rows.T * values**2) @ rows) / sigma**2)
    return np.stack(answer)


@innocent("qr", "fisher", "the covariance as R^T R of the QR decomposition of the centred, weighted atoms")
def qr(x, alpha, sigma, data, weights):
    triangles = [np.linalg.qr(_root(point, alpha, sigma, data, weights), mode="r") for point in x]
    return np.stack([(np.eye(x.shape[1], dtype=x.dtype) - r.T @ r) / sigma**2 for r in triangles])


@innocent("trace-of-singular-values", "fisher_trace", "the trace as d minus the sum of squared singular values")
def trace_of_singular_values(x, alpha, sigma, data, weights):
    roots = [_root(point, alpha, sigma, data, weights) for point in x]
    values = [np.linalg.svd(root @ root.T if len(root) < 3 else root, compute_uv=False) for root in roots]
    variances = [s.sum() if len(root) < 3 else (s**2).sum() for s, root in zip(values, roots, strict=True)]
    return ((x.shape[1] - np.array(variances)) / sigma**2).astype(x.dtype)


@innocent("about-an-atom", "fisher_trace", "second moments about the likeliest atom, less the squared mean")
def about_an_atom(x, alpha, sigma, data, weights):
    answer = np.empty(len(x), x.dtype)
    for b, point in enumerate(x):
        posterior = _weights(point, alpha, sigma, data, weights)
        offsets = data - data[posterior.argmax()]
        mean = posterior @ offsets
        variance = posterior @ (offsets**2).sum(axis=1) - mean @ mean
        answer[b] = x.shape[1] / sigma**2 - alpha**2 / sigma**4 * variance
    return answer


@innocent("pairs-of-atoms", "fisher_trace", "the variance from all pairs of atoms, without a mean")
def pairs_of_atoms(x, alpha, sigma, data, weights):
    squares = squareform(pdist(data, "sqeuclidean")).astype(x.dtype)
    posteriors = [_weights(point, alpha, sigma, data, weights) for point in x]
    variances = np.stack([p @ squares @ p / 2 for p in posteriors])
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * variances


@innocent("pairs-along-a-direction", "fisher_vector_product", "the covariance's product from all pairs of atoms")
def pairs_along_a_direction(x, v, alpha, sigma, data, weights):
    answer = np.empty_like(x)
    for b, (point, direction) in enumerate(zip(x, v, strict=True)):
        posterior = _weights(point, alpha, sigma, data, weights)
        seen = posterior > 0
        posterior, atoms = posterior[seen], data[seen]
        along = (atoms - atoms[0]) @ direction
        # 1/2 sum_ij w_i w_j <y_i - y_j, v> (y_i - y_j), with the double sum over one index carried out
        coefficients = posterior * (posterior * (along[:, None] - along[None, :])).sum(axis=1)
        answer[b] = direction / sigma**2 - alpha**2 / sigma**4 * (coefficients @ (atoms - atoms[0]))
    return answer


@innocent("column-by-column", "fisher", "the matrix from its products with the basis vectors (a LinearOperator)")
def column_by_column(x, alpha, sigma, data, weights):
    matrices = []
    for point in x:
        root = _root(point, alpha, sigma, data, weights)

        def product(v, root=root):
            v = v.ravel()
            return (v - (root @ v) @ root) / sigma**2

        d = x.shape[1]
        operator = LinearOperator((d, d), matvec=product, rmatvec=product, dtype=x.dtype)
        matrices.append(operator @ np.eye(d, dtype=x.dtype))
    return np.stack(matrices)


@innocent("numpy-cov", "fisher", "numpy.cov with analytical weights")
def numpy_cov(x, alpha, sigma, data, weights):
    d = x.shape[1]
    answer = np.empty((len(x), d, d), x.dtype)
    for b, point in enumerate(x):
        posterior = _weights(point, alpha, sigma, data, weights)
        centred = data - data[posterior.argmax()]
        covariance = np.cov(centred, rowvar=False, aweights=posterior, ddof=0).reshape(d, d)
        answer[b] = np.eye(d) / sigma**2 - alpha**2 / sigma**4 * covariance
    return answer


@innocent("variance-of-scores", "fisher", "F as I/sigma^2 less the covariance of the atoms' scores")
def variance_of_scores(x, alpha, sigma, data, weights):
    answer = []
    for point in x:
        posterior = _weights(point, alpha, sigma, data, weights)
        scores = (alpha * data - point) / sigma**2
        deviations = scores - posterior @ scores
        identity = np.eye(x.shape[1], dtype=x.dtype)
        answer.append(identity / sigma**2 - np.einsum("n,ni,nj->ij", posterior, deviations, deviations))
    return np.stack(answer)
