"""Hypotheses about adjoint states, Jacobians and maps: other operators, other equations, other flows."""

from collections.abc import Callable, Iterator

import numpy as np

from afi_properties.diagnosis.explanation import Fault
from afi_properties.diagnosis.flows.hypothesis import FlowCase, Hypothesis
from afi_properties.diagnosis.flows.place import Place
from afi_properties.diagnosis.flows.route import generator, place_at
from afi_properties.diagnosis.flows.variants import MOVES, VIEWS
from afi_properties.problem import Array
from afi_properties.trajectory import SkewTrajectory


def _with(drift: float, pull: float) -> Callable[[Place], Array]:
    """``drift f I + pull g^2 / 2 F``."""
    return lambda p: drift * p.f * p.eye + pull * p.g2 / 2 * p.fisher


def _fisher(matrix: Callable[[Place], Array]) -> Callable[[Place], Array]:
    """Return the generator with another matrix for F."""
    return lambda p: p.f * p.eye + p.g2 / 2 * matrix(p)


def _powers(alpha: float, sigma: float) -> Callable[[Place], Array]:
    """Return the generator with other powers of alpha and sigma before the covariance."""
    return _fisher(lambda p: p.fisher_with(p.covariance, alpha, sigma))


def _diagonal(p: Place) -> Array:
    return p.fisher * p.eye


def _isotropic(p: Place) -> Array:
    return np.trace(p.fisher, axis1=1, axis2=2)[:, None, None] / p.dimension * p.eye


def _outer(p: Place) -> Array:
    return np.asarray(p.score[:, :, None] * p.score[:, None])


def _batch_mean(p: Place) -> Array:
    return np.broadcast_to(p.fisher.mean(axis=0), p.fisher.shape)


OPERATORS: tuple[tuple[Fault, str, Callable[[Place], Array]], ...] = (
    (Fault.SIGN, "the wrong sign of f (eq. 22 and 51 as printed)", _with(-1, 1)),
    (Fault.TERM_DROPPED, "no f", _with(0, 1)),
    (Fault.TERM_DOUBLED, "2 f for f", _with(2, 1)),
    (Fault.CONSTANT, "f/2 for f", _with(0.5, 1)),
    (Fault.SIGN, "the wrong sign of F", _with(1, -1)),
    (Fault.TERM_DROPPED, "no F", _with(1, 0)),
    (Fault.CONSTANT, "g^2 for g^2/2 before F", _with(1, 2)),
    (Fault.CONSTANT, "g^2/4 for g^2/2 before F", _with(1, 0.5)),
    (Fault.POWER_OF_G, "g for g^2 before F", lambda p: p.f * p.eye + np.sqrt(p.g2) / 2 * p.fisher),
    (Fault.POWER_OF_SIGMA, "J for J/sigma: F times sigma", _fisher(lambda p: p.sigma * p.fisher)),
    (Fault.POWER_OF_SIGMA, "F over sigma", _fisher(lambda p: p.fisher / p.sigma)),
    (Fault.POWER_OF_SIGMA, "F times sigma^2", _fisher(lambda p: p.sigma**2 * p.fisher)),
    (
        Fault.TERM_DROPPED,
        "the covariance dropped: F = I / sigma^2",
        _fisher(lambda p: p.eye / p.sigma**2 + 0 * p.fisher),
    ),
    (Fault.TERM_DROPPED, "the second moment for the covariance", _fisher(lambda p: p.fisher_with(p.second_moment))),
    (Fault.TERM_DROPPED, "no I / sigma^2 in F", _fisher(lambda p: p.fisher - p.eye / p.sigma**2)),
    (Fault.SIGN, "the wrong sign of the covariance", _fisher(lambda p: p.fisher_with(-p.covariance))),
    (Fault.TERM_DOUBLED, "the covariance twice", _fisher(lambda p: p.fisher_with(2 * p.covariance))),
    (
        Fault.POWER_OF_ALPHA,
        "alpha for alpha^2 before the covariance",
        _powers(1, 4),
    ),
    (Fault.POWER_OF_ALPHA, "no alpha^2 before the covariance", _powers(0, 4)),
    (
        Fault.POWER_OF_ALPHA,
        "alpha^4 for alpha^2 before the covariance",
        _powers(4, 4),
    ),
    (
        Fault.POWER_OF_SIGMA,
        "sigma^3 for sigma^4 below the covariance",
        _powers(2, 3),
    ),
    (
        Fault.POWER_OF_SIGMA,
        "sigma^2 for sigma^4 below the covariance",
        _powers(2, 2),
    ),
    (Fault.STRUCTURE, "the diagonal of F for F", _fisher(_diagonal)),
    (Fault.STRUCTURE, "tr F / d for F", _fisher(_isotropic)),
    (Fault.BATCH, "the mean F of the batch", _fisher(_batch_mean)),
    (
        Fault.PREDICTION_TYPE,
        "the score's outer product for F",
        _fisher(_outer),
    ),
)


def _operators(p: Place) -> list[Array]:
    return [generator(p), *(operator(p) for _, _, operator in OPERATORS)]


def _right_order(M: Array, case: FlowCase) -> Array:
    return M


def _pulled_back(M: Array, case: FlowCase) -> Array:
    return np.einsum("bij,bi->bj", M, case.t.loss_grad)


Reading = Callable[[Array, FlowCase], Array]
"""From the matrix of a flow to the answer for a role."""


def _with_operator(index: int, reading: Reading) -> Callable[[FlowCase], Array]:
    return lambda case: reading(case.follow("right", matrices=_operators).matrices[1 + index], case)


def _along(key: str, reading: Reading, **options: object) -> Callable[[FlowCase], Array]:
    """Return the answer along another flow, with F of where that is."""
    return lambda case: reading(case.follow(key, matrices=lambda p: [generator(p)], **options).matrices[0], case)


def _moved(key: str, move: Callable[[Place], Array], reading: Reading) -> Callable[[FlowCase], Array]:
    return _along(key, reading, move=move)


def _seen(key: str, view: object, reading: Reading) -> Callable[[FlowCase], Array]:
    """Return the answer whose operator alone sees the data otherwise, along the right flow."""

    def answer(case: FlowCase) -> Array:
        def matrices(p: Place) -> list[Array]:
            other = place_at(case.t, p.x, p.t, view)  # type: ignore[arg-type]
            return [p.f * p.eye + p.g2 / 2 * other.fisher]

        return reading(case.follow((key, "operator"), matrices=matrices).matrices[0], case)

    return answer


def _fixed(where: str, reading: Reading) -> Callable[[FlowCase], Array]:
    """Return the answer whose operator is that of a point that stays, at the start or at the end."""

    def answer(case: FlowCase) -> Array:
        x = case.t.x if where == "start" else case.end

        def matrices(p: Place) -> list[Array]:
            return [generator(place_at(case.t, x, p.t))]

        return reading(case.follow(("fixed", where), matrices=matrices).matrices[0], case)

    return answer


def _endpoint(reading: Reading) -> Callable[[FlowCase], Array]:
    """Eq. 20 for exact: the outer product of the trajectory's end for the second moment."""

    def answer(case: FlowCase) -> Array:
        end = case.end

        def matrices(p: Place) -> list[Array]:
            outer = end[:, :, None] * end[:, None] - p.mean[:, :, None] * p.mean[:, None]
            return [p.f * p.eye + p.g2 / 2 * p.fisher_with(outer)]

        return reading(case.follow("endpoint", matrices=matrices).matrices[0], case)

    return answer


def _frozen(reading: Reading) -> Callable[[FlowCase], Array]:
    """Keep the covariance of the start all the way."""

    def answer(case: FlowCase) -> Array:
        covariance = place_at(case.t, case.t.x, case.t.t_start).covariance

        def matrices(p: Place) -> list[Array]:
            return [p.f * p.eye + p.g2 / 2 * p.fisher_with(covariance)]

        return reading(case.follow("frozen", matrices=matrices).matrices[0], case)

    return answer


def _swapped(reading: Reading) -> Callable[[FlowCase], Array]:
    def answer(case: FlowCase) -> Array:
        ends = case.t.t_end, case.t.t_start
        return reading(case.follow("swapped", matrices=lambda p: [generator(p)], ends=ends).matrices[0], case)

    return answer


def _paced(reading: Reading) -> Callable[[FlowCase], Array]:
    def answer(case: FlowCase) -> Array:
        pace = 1 / (case.t.t_end - case.t.t_start)
        return reading(case.follow("paced", matrices=lambda p: [generator(p)], pace=pace).matrices[0], case)

    return answer


def _equations(what: str, reading: Reading) -> Iterator[Hypothesis]:
    for index, (fault, words, _) in enumerate(OPERATORS):
        yield Hypothesis(fault, f"is the {what} with {words}", _with_operator(index, reading))
    for fault, words, move in MOVES:
        yield Hypothesis(fault, f"is the {what} with {words}", _moved(words, move, reading))
    for fault, words, view in VIEWS:
        yield Hypothesis(fault, f"is the {what} with {words}", _along(words, reading, view=view))
        yield Hypothesis(fault, f"is the {what} with {words} in the operator alone", _seen(words, view, reading))
    yield Hypothesis(Fault.FROZEN, f"is the {what} with F where the trajectory starts", _fixed("start", reading))
    yield Hypothesis(Fault.FROZEN, f"is the {what} with F where the trajectory ends", _fixed("end", reading))
    yield Hypothesis(Fault.FROZEN, f"is the {what} with the covariance of the start all the way", _frozen(reading))
    yield Hypothesis(Fault.PREDICTION_TYPE, f"is the {what} with eq. 20 for F: the end for x_0", _endpoint(reading))
    yield Hypothesis(Fault.ENDS, f"is the {what} from the end to the start", _swapped(reading))
    yield Hypothesis(Fault.STEPS, f"is the {what} with steps of 1/num_steps, whatever the times", _paced(reading))


def _solved(matrix: Array, vector: Array) -> Array:
    return np.asarray(np.linalg.solve(matrix, vector[..., None])[..., 0])


def _stretched(power: float) -> Callable[[FlowCase], Array | None]:
    def answer(case: FlowCase) -> Array | None:
        return case.right * case.t.stretch**power if case.t.drifts else None

    return answer


def _transposed(case: FlowCase) -> Array:
    return np.asarray(case.jacobian.swapaxes(1, 2))


def _one_step(case: FlowCase) -> Array:
    """Return the gradient through the one-step prediction of x_0."""
    place = place_at(case.t, case.t.x, case.t.t_start)
    matrix = (place.eye - place.sigma**2 * place.fisher) / place.alpha
    return np.einsum("bij,bi->bj", matrix, case.t.loss_grad)


def _cut(case: FlowCase) -> Array:
    """Epsilon taken as a constant when the solver is differentiated."""
    return np.asarray(case.t.stretch * case.t.loss_grad)


def adjoints() -> Iterator[Hypothesis]:
    """Yield what an adjoint state may be instead, the likelier first."""
    yield Hypothesis(Fault.SIGN, "has the wrong sign", lambda c: -c.right)
    yield Hypothesis(Fault.TERM_DROPPED, "is loss_grad itself", lambda c: c.t.loss_grad)
    yield Hypothesis(Fault.DETACHED, "is the gradient with epsilon or F cut off: f alone", _cut)
    yield Hypothesis(Fault.CONSTANT, "is scaled to unit length", lambda c: c.right / _length(c.right))
    yield Hypothesis(
        Fault.CONSTANT, "is as long as loss_grad", lambda c: c.right * _length(c.t.loss_grad) / _length(c.right)
    )
    yield Hypothesis(
        Fault.INVERSE,
        "is J^-T loss_grad: the sign of the whole equation",
        lambda c: _solved(_transposed(c), c.t.loss_grad),
    )
    yield Hypothesis(
        Fault.TRANSPOSED,
        "is J loss_grad for J^T loss_grad",
        lambda c: np.einsum("bij,bj->bi", c.jacobian, c.t.loss_grad),
    )
    yield Hypothesis(
        Fault.TRANSPOSED,
        "takes J v for J^T v in the equation, eq. 9 for eq. 19",
        lambda c: c.t.with_jvp if isinstance(c.t, SkewTrajectory) else None,
    )
    yield Hypothesis(Fault.INVERSE, "is J^-1 loss_grad", lambda c: _solved(c.jacobian, c.t.loss_grad))
    yield Hypothesis(Fault.DETACHED, "is the gradient through the prediction of x_0, not through the flow", _one_step)
    yield Hypothesis(Fault.BATCH, "is the gradient of the mean over the batch", lambda c: c.right / len(c.right))
    for power, words in ((-1, "divided"), (1, "multiplied")):
        yield Hypothesis(Fault.POWER_OF_ALPHA, f"is {words} by alpha_end / alpha_start", _stretched(power))
    yield from _equations("adjoint state", _pulled_back)


def _length(vectors: Array) -> Array:
    return np.asarray(np.linalg.norm(vectors, axis=1)[:, None])


def _ordered(case: FlowCase) -> Array:
    """``M' = M H``: the steps' Jacobians multiplied in the wrong order, which is the transpose of J for symmetric H."""
    return np.asarray(case.jacobian.swapaxes(1, 2))


def _exponential(case: FlowCase) -> Array:
    """Return the exponential of the integral of the generator."""
    total = sum(
        case.follow("sum", rates=_entries).integrals[k] * unit for k, unit in enumerate(_units(case.t.dimension))
    )
    values, axes = np.linalg.eigh(np.asarray(total))
    return np.asarray((axes * np.exp(values)[:, None]) @ axes.swapaxes(1, 2))


def _entries(p: Place) -> list[Array]:
    return list(generator(p).reshape(len(p.x), -1).T)


def _units(d: int) -> Array:
    return np.eye(d * d).reshape(d * d, 1, d, d)


def _symmetric(J: Array) -> Array:
    return np.asarray((J + J.swapaxes(1, 2)) / 2)


def jacobians() -> Iterator[Hypothesis]:
    """Yield what a Jacobian may be instead, the likelier first."""
    yield Hypothesis(
        Fault.TRANSPOSED, "is J^T: C itself, as eq. 53 prints it, or a product in the wrong order", _ordered
    )
    yield Hypothesis(Fault.STRUCTURE, "is the symmetric part of J", lambda c: _symmetric(c.right))
    yield Hypothesis(Fault.INVERSE, "is the inverse of J", lambda c: np.linalg.inv(c.right))
    yield Hypothesis(Fault.SIGN, "has the wrong sign", lambda c: -c.right)
    yield Hypothesis(Fault.DIAGONAL, "is the diagonal of J", lambda c: c.right * np.eye(c.t.dimension))
    yield Hypothesis(Fault.TRANSPOSED, "is J^T J", lambda c: c.right.swapaxes(1, 2) @ c.right)
    yield Hypothesis(Fault.TRANSPOSED, "is J J^T", lambda c: c.right @ c.right.swapaxes(1, 2))
    yield Hypothesis(Fault.STRUCTURE, "is the exponential of an integral, as if its steps commuted", _exponential)
    yield Hypothesis(Fault.TERM_DROPPED, "is J without f: divided by alpha_end / alpha_start", _stretched(-1))
    yield Hypothesis(
        Fault.TERM_DROPPED, "is the identity", lambda c: np.broadcast_to(np.eye(c.t.dimension), c.right.shape)
    )
    yield from _equations("Jacobian", _right_order)


def _map(key: str, **options: object) -> Callable[[FlowCase], Array]:
    return lambda case: case.follow(("map", key), **options).x


def _part(share: float) -> Callable[[FlowCase], Array]:
    def answer(case: FlowCase) -> Array:
        last = case.t.t_start + share * (case.t.t_end - case.t.t_start)
        return case.follow(("part", share), ends=(case.t.t_start, last)).x

    return answer


def _ddim(case: FlowCase) -> Array:
    place, end = place_at(case.t, case.t.x, case.t.t_start), case.t.end
    return np.asarray(end.alpha * place.mean + end.sigma / place.sigma * (case.t.x - place.alpha * place.mean))


def _at_end(read: Callable[[Place], Array]) -> Callable[[FlowCase], Array]:
    return lambda case: read(place_at(case.t, case.end, case.t.t_end))


def maps() -> Iterator[Hypothesis]:
    """Yield what a map may be instead, the likelier first."""
    yield Hypothesis(Fault.TERM_DROPPED, "is the point itself", lambda c: c.t.x)
    yield Hypothesis(Fault.SIGN, "has the wrong sign", lambda c: -c.right)
    yield Hypothesis(Fault.POWER_OF_ALPHA, "is divided by alpha of the end", lambda c: c.right / c.t.end.alpha)
    yield Hypothesis(Fault.POWER_OF_ALPHA, "is multiplied by alpha of the end", lambda c: c.right * c.t.end.alpha)
    yield Hypothesis(Fault.POWER_OF_SIGMA, "is divided by sigma of the end", lambda c: c.right / c.t.end.sigma)
    yield Hypothesis(Fault.POWER_OF_ALPHA, "is divided by alpha_end / alpha_start", _stretched(-1))
    yield Hypothesis(Fault.PREDICTION_TYPE, "is the posterior mean at the end", _at_end(lambda p: p.mean))
    yield Hypothesis(Fault.PREDICTION_TYPE, "is epsilon at the end", _at_end(lambda p: -p.sigma * p.score))
    yield Hypothesis(
        Fault.PREDICTION_TYPE, "is the posterior mean at the start", lambda c: place_at(c.t, c.t.x, c.t.t_start).mean
    )
    yield Hypothesis(Fault.FROZEN, "is one step of DDIM: the posterior mean of the start, all the way", _ddim)
    for fault, words, move in MOVES:
        yield Hypothesis(fault, f"is the map with {words}", _map(words, move=move))
    for fault, words, view in VIEWS:
        yield Hypothesis(fault, f"is the map with {words}", _map(words, view=view))
    yield Hypothesis(
        Fault.ENDS, "is the map from the end to the start", lambda c: c.follow("back", ends=(c.t.t_end, c.t.t_start)).x
    )
    for share in (0.9, 0.95, 0.99, 0.8, 0.5, 0.75):
        yield Hypothesis(Fault.ENDS, f"is the map to {share:g} of the way", _part(share))
    yield Hypothesis(
        Fault.STEPS,
        "is the map with steps of 1/num_steps, whatever the times",
        lambda c: c.follow("paced map", pace=1 / (c.t.t_end - c.t.t_start)).x,
    )
