"""Single cases against the corrected bounds in ball arithmetic, from their floats as they are.

For those that float64 cannot tell from the bound: there the error is proven to exceed it, or proven not to exceed it by
more than a relative 2**-128 (a case that attains the bound is never proven to be below it).
"""

from flint import arb, arb_mat

from afi_properties.bounds.cases import Cases
from afi_reference.certified import working_precision
from afi_reference.certified.weighted import posterior_weights

BITS = 512
_EXCESS = arb(2) ** -128


def exceeds(cases: Cases, index: int) -> dict[str, bool | None]:
    """Decide for one case whether the errors exceed the corrected bounds.

    Parameters
    ----------
    cases : Cases
        A batch.
    index : int
        Which of them.

    Returns
    -------
    dict of str to (bool or None)
        By the name of the bound: True if the error is proven to exceed it; False if it is proven not to, but for a
        relative 2**-128; None if ``BITS`` of precision do not decide.
    """
    with working_precision(BITS):
        alpha, sigma, head_error = (arb(float(a[index])) for a in (cases.alpha, cases.sigma, cases.head_error))
        x, error, end = (_column(a[index].tolist()) for a in (cases.x, cases.noise_error, cases.end))
        atoms = [_column(atom) for atom in cases.atoms[index].tolist()]
        d = x.nrows()
        gaps = [x - y * alpha for y in atoms]
        logits = [-_inner(gap, gap) / (2 * sigma**2) for gap in gaps]
        weights, _ = posterior_weights([arb(1)] * len(atoms), logits)
        total = sum(weights, arb(0))
        weights = [w / total for w in weights]
        mean = sum((y * w for w, y in zip(weights, atoms, strict=True)), arb_mat(d, 1))
        second = sum((y * y.transpose() * w for w, y in zip(weights, atoms, strict=True)), arb_mat(d, d))
        moment = sum((_inner(y, y) * w for w, y in zip(weights, atoms, strict=True)), arb(0))
        noise = (x - mean * alpha) / sigma + error
        predicted = (x - noise * sigma) / alpha
        # In units of alpha^2 / sigma^4, as in `measure`; the identity of eq. 11 cancels.
        bracket = d * (moment / d + head_error) - _inner(predicted, predicted)
        trace = abs(moment - _inner(mean, mean) - bracket)
        matrix = second - mean * mean.transpose() - end * end.transpose() + predicted * predicted.transpose()
        operator = _inner(matrix, matrix).sqrt()
        r = sigma / alpha * _norm(error)
        head = d * abs(head_error)
        radius = max((_norm(y) for y in (*atoms, end)), key=float)
        bounds = {
            "trace": (trace, head + 2 * _norm(mean) * r + r**2),
            "trace, computable": (trace, head + 2 * _norm(predicted) * r + r**2),
            "operator": (operator, ((moment + 2 * _norm(mean) * r + r**2) ** 2 + _norm(end) ** 4).sqrt()),
            "operator, radius": (operator, ((radius + r) ** 4 + radius**4).sqrt()),
        }
        return {name: _decide(error, bound) for name, (error, bound) in bounds.items()}


def _decide(error: arb, bound: arb) -> bool | None:
    if error > bound:
        return True
    return False if error <= bound * (1 + _EXCESS) else None


def _column(values: list[float]) -> arb_mat:
    return arb_mat(len(values), 1, [arb(v) for v in values])


def _inner(a: arb_mat, b: arb_mat) -> arb:
    return sum((p * q for p, q in zip(a.entries(), b.entries(), strict=True)), arb(0))


def _norm(a: arb_mat) -> arb:
    return _inner(a, a).sqrt()
