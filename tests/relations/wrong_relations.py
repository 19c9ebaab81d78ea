"""Wrong implementations for which no oracle is needed: for each relation one that no other relation notices."""

import dataclasses

import numpy as np

from tests.relations.unknown_models import ExactModel, adapter_of

RIGHT = ExactModel()
ANTISYMMETRIC = np.array([[0.0, 1.0], [-1.0, 0.0]])
ROTATION = np.array([[0.0, -1.0], [1.0, 0.0]])


@dataclasses.dataclass(frozen=True)
class Wrong:
    """Functions by role, the relation that must notice, and whether no other one may."""

    relation: str
    functions: dict
    alone: bool = False
    model: str = "diffusion"


def grows(x, v, alpha, sigma):
    length = np.sqrt((v * v).sum(axis=1, keepdims=True))
    return RIGHT.fisher_vector_product(x, v, alpha, sigma) * (1 + length / 50)


def normalised(x, v, alpha, sigma):
    return RIGHT.fisher_vector_product(x, v / np.sqrt((v * v).sum(axis=1, keepdims=True)), alpha, sigma)


def skew(x, v, alpha, sigma):
    return RIGHT.fisher_vector_product(x, v, alpha, sigma) + v @ ANTISYMMETRIC.astype(x.dtype) / (50 * sigma**2)


def skew_matrix(x, alpha, sigma):
    return RIGHT.fisher(x, alpha, sigma) + ANTISYMMETRIC.astype(x.dtype) / (50 * sigma**2)


def transposed_skew(x, v, alpha, sigma):
    return RIGHT.fisher_vector_product(x, v, alpha, sigma) - v @ ANTISYMMETRIC.astype(x.dtype) / (50 * sigma**2)


def times(role, factor):
    method = getattr(RIGHT, role)
    if role == "fisher_vector_product":
        return lambda x, v, alpha, sigma: (factor * method(x, v, alpha, sigma)).astype(x.dtype)
    return lambda x, alpha, sigma: (factor * method(x, alpha, sigma)).astype(x.dtype)


def sum_of_entries(x, alpha, sigma):
    return RIGHT.fisher(x, alpha, sigma).sum(axis=(1, 2))


def turning(x, alpha, sigma):
    return RIGHT.score(x, alpha, sigma) + x @ ROTATION.astype(x.dtype) / (50 * sigma**2)


def turning_mean(x, alpha, sigma):
    return RIGHT.posterior_mean(x, alpha, sigma) + x @ ROTATION.astype(x.dtype) / (50 * alpha)


def not_divided(x, alpha, sigma):
    return alpha * RIGHT.posterior_mean(x, alpha, sigma)


def covariance_added(x, v, alpha, sigma):
    return 2 * v / sigma**2 - RIGHT.fisher_vector_product(x, v, alpha, sigma)


def with_batch_mean(x, alpha, sigma):
    score = RIGHT.score(x, alpha, sigma)
    return score + (score.mean(axis=0) - score[:1]) / 50


def softmax_over_the_batch(x, alpha, sigma):
    weights, *_ = RIGHT.posterior(x, alpha, sigma)
    return (weights / weights.sum(axis=0, keepdims=True)) @ RIGHT.atoms.astype(x.dtype)


class UpdatedInPlace:
    """Answers the same question wrongly when it is asked twice in a row."""

    def __init__(self):
        self.last = None

    def __call__(self, x, alpha, sigma):
        again = self.last is not None and self.last.shape == x.shape and (self.last == x).all()
        self.last = x.copy()
        return RIGHT.score(x, alpha, sigma) * (x.dtype.type(1.02) if again else 1)


class Dropout:
    """Answers with noise of two percent."""

    def __init__(self):
        self.rng = np.random.default_rng(0)

    def __call__(self, x, alpha, sigma):
        noise = 1 + self.rng.standard_normal(x.shape) / 50
        return RIGHT.posterior_mean(x, alpha, sigma) * noise.astype(x.dtype)


def depends_on_time(x, t, schedule):
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    return RIGHT.score(x, alpha, sigma) * (1 - 0.02 * float(np.tanh(t)))


def rectified_flow_assumed(x, t, schedule):
    return RIGHT.posterior_mean(x, max(1 - t, 0.01), max(float(schedule.sigma(t)), t))


def handed(data, **changes):
    return ExactModel(atoms=data, **{"prior": np.full(len(data), 1 / len(data)), **changes})


def shrunk_mean(x, alpha, sigma, data):
    return x.dtype.type(0.98) * handed(data).posterior_mean(x, alpha, sigma)


def about_the_origin(x, alpha, sigma, data):
    mean = handed(data).posterior(x, alpha, sigma)[1]
    return handed(data).fisher_trace(x, alpha, sigma) - alpha**2 / sigma**4 * (mean * mean).sum(axis=1)


def first_axis_less(x, alpha, sigma, data):
    diagonal = np.diagonal(handed(data).fisher(x, alpha, sigma), axis1=1, axis2=2)
    return diagonal.sum(axis=1) - diagonal[:, 0] / 50


def signs_of_axes(x, v, alpha, sigma, data):
    return handed(data).fisher_vector_product(x, np.abs(v), alpha, sigma) * np.sign(v)


def power_of_sigma(x, alpha, sigma, data):
    return handed(data).fisher_trace(x, alpha, sigma) * x.dtype.type(min(sigma, 1 / sigma) ** 0.05)


def sigma_cubed(x, v, alpha, sigma, data):
    right = handed(data).fisher_vector_product(x, v, alpha, sigma)
    return v / sigma**2 + (right - v / sigma**2) * sigma


def by_neighbours(x, alpha, sigma, data):
    """Weigh an atom by the distance to the one before it and to the one after it."""
    before = np.sqrt(((data - np.roll(data, 1, axis=0)) ** 2).sum(axis=1)) + 1e-30
    after = np.sqrt(((data - np.roll(data, -1, axis=0)) ** 2).sum(axis=1)) + 1e-30
    prior = 1 + 0.9 * (before - after) / (before + after)
    return handed(data, prior=prior / prior.sum()).score(x, alpha, sigma)


def first_atom_favoured(x, alpha, sigma, data, weights):
    prior = weights * np.where(np.arange(len(weights)) == 0, 2, 1)
    return handed(data, prior=prior).posterior_mean(x, alpha, sigma)


def tempered_weights(x, alpha, sigma, data, weights):
    return handed(data, prior=weights ** x.dtype.type(1.5)).score(x, alpha, sigma)


def without_copies(x, alpha, sigma, data, weights):
    atoms, first = np.unique(data, axis=0, return_index=True)
    return handed(atoms, prior=weights[first]).posterior_mean(x, alpha, sigma)


def of_data(role, **changes):
    if role == "fisher_vector_product":
        return lambda x, v, alpha, sigma, data: getattr(handed(data, **changes), role)(x, v, alpha, sigma)
    return lambda x, alpha, sigma, data: getattr(handed(data, **changes), role)(x, alpha, sigma)


def methods(*roles, **changes):
    model = ExactModel(**changes)
    return {role: getattr(model, role) for role in roles}


LESS = {"spread": 1.05}  # five percent too much covariance
WIDE = {"width": 1.05}  # sigma five percent too large
OPERATOR, TRACE = "fisher_vector_product", "fisher_trace"

WRONG = {
    "grows with the direction": Wrong("linearity", {"fisher_vector_product_vjp": grows}, alone=True, model="network"),
    "normalises the direction": Wrong("linearity", {OPERATOR: normalised}),
    "antisymmetric part": Wrong("symmetry", {OPERATOR: skew}, alone=True),
    "antisymmetric part of the matrix": Wrong("symmetry", {"fisher": skew_matrix}, alone=True),
    "jvp for vjp": Wrong(
        "transposes",
        {"fisher_vector_product_vjp": skew, "fisher_vector_product_jvp": skew},
        alone=True,
    ),
    "vjp wrong by 2 %": Wrong(
        "transposes",
        {"fisher_vector_product_vjp": times(OPERATOR, 1.02), "fisher_vector_product_jvp": RIGHT.fisher_vector_product},
        alone=True,
    ),
    "trace wrong by 2 %": Wrong("trace-of-operator", {**methods(OPERATOR), TRACE: times(TRACE, 0.98)}, alone=True),
    "sum of entries beside the operator": Wrong("trace-of-operator", {**methods(OPERATOR), TRACE: sum_of_entries}),
    "trace wrong by 2 % beside the matrix": Wrong(
        "trace-of-matrix", {**methods("fisher"), TRACE: times(TRACE, 0.98)}, alone=True
    ),
    "sum of entries": Wrong("trace-of-matrix", {**methods("fisher"), TRACE: sum_of_entries}),
    "too much covariance in the operator": Wrong(
        "matrix-of-operator", {**methods("fisher"), **methods(OPERATOR, **LESS)}, alone=True
    ),
    "operator at another noise level": Wrong("matrix-of-operator", {**methods("fisher"), **methods(OPERATOR, **WIDE)}),
    "operator is not the score's": Wrong(
        "jacobian-of-score", {**methods("score"), **methods(OPERATOR, **LESS)}, alone=True
    ),
    "score of another noise level": Wrong(
        "jacobian-of-score", {**methods("score", **WIDE), **methods(OPERATOR)}, alone=True
    ),
    "score that turns": Wrong("gradient-field", {"score": turning}, alone=True),
    "posterior mean that turns": Wrong("gradient-field", {"posterior_mean": turning_mean}, alone=True),
    "posterior mean shrunk": Wrong(
        "tweedie", {**methods("score"), "posterior_mean": times("posterior_mean", 0.98)}, alone=True
    ),
    "not divided by alpha": Wrong("tweedie", {**methods("score"), "posterior_mean": not_divided}, alone=True),
    "covariance added": Wrong("covariance-positive", {OPERATOR: covariance_added}, alone=True),
    "trace doubled": Wrong("covariance-positive", {TRACE: times(TRACE, 2.0)}, alone=True),
    "the batch's mean": Wrong("batch-independence", {"score": with_batch_mean}),
    "softmax over the batch": Wrong("batch-independence", {"posterior_mean": softmax_over_the_batch}, model="network"),
    "trace of the whole batch": Wrong(
        "batch-independence",
        {TRACE: lambda x, alpha, sigma: np.full(len(x), RIGHT.fisher_trace(x, alpha, sigma).min())},
        alone=True,
    ),
    "the second time": Wrong("determinism", {"score": UpdatedInPlace()}, alone=True),
    "dropout": Wrong("determinism", {"posterior_mean": Dropout()}),
    "depends on time": Wrong("time-change", {"score": depends_on_time}, alone=True),
    "assumes rectified flow": Wrong("time-change", {"posterior_mean": rectified_flow_assumed}),
    "posterior mean shrunk to the origin": Wrong("translation", {"posterior_mean": shrunk_mean}, alone=True),
    "second moment for the variance": Wrong("translation", {TRACE: about_the_origin}),
    "first axis less": Wrong("rotation", {TRACE: first_axis_less}, alone=True),
    "signs of axes": Wrong("rotation", {OPERATOR: signs_of_axes}),
    "a power of sigma": Wrong("scaling", {TRACE: power_of_sigma}, alone=True),
    "sigma^3 for sigma^4": Wrong("scaling", {OPERATOR: sigma_cubed}),
    "weights by neighbours": Wrong("atom-order", {"score": by_neighbours}, alone=True),
    "first atom favoured": Wrong("atom-order", {"posterior_mean": first_atom_favoured}),
    "weights to a power": Wrong("atom-splitting", {"score": tempered_weights}, alone=True),
    "copies dropped": Wrong("atom-splitting", {"posterior_mean": without_copies}),
    "score and trace of another noise level": Wrong(
        "fisher-identity", {"score": of_data("score", **WIDE), TRACE: of_data(TRACE, **WIDE)}, alone=True
    ),
    "score wrong by a little": Wrong("fisher-identity", {"score": of_data("score", width=1.01), TRACE: of_data(TRACE)}),
    "mean and trace of another noise level": Wrong(
        "denoising-error",
        {"posterior_mean": of_data("posterior_mean", **WIDE), TRACE: of_data(TRACE, **WIDE)},
        alone=True,
    ),
    "too much covariance in the trace": Wrong(
        "denoising-error", {"posterior_mean": of_data("posterior_mean"), TRACE: of_data(TRACE, **LESS)}, alone=True
    ),
    "a diffusion at another pace": Wrong("fokker-planck", methods("score", OPERATOR, TRACE, **WIDE), alone=True),
    "operator of another noise level": Wrong("fokker-planck", {**methods("score", TRACE), **methods(OPERATOR, **WIDE)}),
    "trace is not the flow's": Wrong("liouville", {**methods("score"), TRACE: times(TRACE, 0.95)}, alone=True),
    "trace with too much covariance": Wrong("liouville", {**methods("score"), **methods(TRACE, **LESS)}, alone=True),
}


def adapter(name, dtype):
    wrong = WRONG[name]
    return adapter_of(wrong.functions, name, dtype, model=wrong.model)
