"""Every limit of the certified oracles gives "undecided", for every quantity; and the enclosed formulas are right."""

from fractions import Fraction

import numpy as np
import pytest

from afi_reference.certified import (
    CertifiedDiracMixture,
    CertifiedGaussianMixture,
    enclose_endpoint_product,
    enclose_trace_matching,
)

ATOMS = np.array([[0.1, 0.2], [-0.7, 1.3], [0.4, -0.5]])
COVARIANCES = np.stack([np.eye(2) * scale for scale in (0.1, 0.3, 0.7)])
X, V = np.array([[0.3, -0.1], [0.2, 0.9]]), np.array([[1.0, 2.0], [0.5, -1.0]])
EPS, X0, HEAD = np.array([[0.3, 0.7], [-1.1, 0.2]]), np.array([[0.1, 0.2], [0.4, -0.5]]), np.array([0.3, 0.6])
LEVEL = (0.8, 0.6)

FAMILIES = {
    "Diracs": lambda **limits: CertifiedDiracMixture(ATOMS, **limits),
    "Gaussian mixture": lambda **limits: CertifiedGaussianMixture(ATOMS, COVARIANCES, **limits),
}
QUANTITIES = [
    "log_density",
    "score",
    "posterior_mean",
    "posterior_covariance",
    "posterior_second_moment",
    "fisher",
    "fisher_vector_product",
    "fisher_trace",
]


def ask(oracle, quantity):
    arguments = (X, V) if quantity == "fisher_vector_product" else (X,)
    return getattr(oracle, quantity)(*arguments, *LEVEL)


@pytest.mark.parametrize("limits", [{"max_precision": 2}, {"max_precision": 90}, {"time_limit": 1e-9}], ids=str)
@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_limit_gives_undecided_and_bounds_that_hold(family, quantity, limits):
    got, truth = (ask(FAMILIES[family](**kind), quantity) for kind in (limits, {}))
    assert truth.decided
    assert (got.decided, got.value, got.radius) == (False, None, None)
    assert next(iter(limits)) in got.reason
    assert (got.lower <= truth.upper).all()
    assert (got.upper >= truth.lower).all()


def exactly(value):
    return [Fraction(float(number)) for number in np.ravel(value)]


def by_fractions(point):
    """Eq. 17 corrected and eq. 20 in rational numbers: no rounding at all."""
    alpha, sigma = exactly(LEVEL)
    x, v, x0, eps = (exactly(rows[point]) for rows in (X, V, X0, EPS))
    (head,) = exactly(HEAD[point])
    y = [(a - sigma * e) / alpha for a, e in zip(x, eps, strict=True)]
    factor = alpha**2 / sigma**4
    trace = 2 / sigma**2 - factor * (2 * head - sum(b * b for b in y))
    along_x0, along_y = (sum(a * b for a, b in zip(row, v, strict=True)) for row in (x0, y))
    product = [u / sigma**2 - factor * (along_x0 * a - along_y * b) for u, a, b in zip(v, x0, y, strict=True)]
    return trace, product


def test_enclosed_formulas_are_the_rational_numbers_rounded():
    traces = enclose_trace_matching(X, EPS, HEAD, *LEVEL)
    products = enclose_endpoint_product(X, V, X0, EPS, *LEVEL)
    for point in range(2):
        trace, product = by_fractions(point)
        assert traces.value[point] == float(trace)
        assert products.value[point].tolist() == [float(p) for p in product]


def test_enclosed_formulas_are_undecided_at_a_limit_and_refuse_wrong_shapes():
    for got in (
        enclose_trace_matching(X, EPS, HEAD, *LEVEL, max_precision=60),
        enclose_endpoint_product(X, V, X0, EPS, *LEVEL, max_precision=60),
    ):
        assert not got.decided
        assert got.value is None
        assert "raise max_precision" in got.reason
    with pytest.raises(ValueError, match="head must have shape"):
        enclose_trace_matching(X, EPS, HEAD[:1], *LEVEL)
    with pytest.raises(ValueError, match="eps must have as many rows"):
        enclose_trace_matching(X, EPS[:1], HEAD, *LEVEL)
    with pytest.raises(ValueError, match="x must have shape"):
        enclose_endpoint_product(X[0], V, X0, EPS, *LEVEL)
