"""What careful people use today, on the same zoo: gradcheck, allclose with default tolerances, finite differences.

Each is applied as its documentation suggests, to Gaussian data with moderate noise (log-SNR -1, 0 and 2), at sizes that
differ from one another, so that axes cannot be mixed up unnoticed. Each gets the benefit of the doubt: an exception, a
wrong shape or a wrong dtype counts as noticed.

* ``allclose``: ``numpy.allclose`` with its defaults (rtol 1e-5, atol 1e-8) against the closed formula in float64.
* ``assert_close``: ``torch.testing.assert_close`` with its defaults for the dtype, against the same.
* ``finite differences``: central differences of the reference log density (score, posterior mean), of its score (Fisher
  matrix, product, trace, eq. 17) or of ``eps_fn`` (autodiff roles), compared at rtol 1e-3. Eq. 20 is the derivative of
  nothing.
* ``gradcheck``: ``torch.autograd.gradcheck`` with its defaults, of a function whose value is the reference and whose
  derivative is the one under test: score and posterior mean (by Tweedie) as the gradient of the log density, Fisher
  matrix and product as that of the score, the VJP as that of ``eps_fn``, the JVP the same in forward mode. A trace, eq.
  17 and eq. 20 are no derivatives. In float64 only, as gradcheck demands.
"""

import dataclasses
import functools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from afi_properties.claim import Claim
from afi_properties.inputs import make_inputs
from afi_properties.noise_levels import noise_at, time_near_log_snr
from afi_properties.problem import Array, Problem
from afi_reference.schedules import VPLinear
from afi_verify.adapter import Adapter
from afi_verify.backends import load_backend
from afi_verify.errors import BrokenAnswerError
from afi_verify.handing import Handed, Subject, call, round_problem

METHODS = ("gradcheck", "allclose", "assert_close", "finite differences")

LOG_SNRS = (-1.0, 0.0, 2.0)
BATCH, ATOMS, DIMENSION = 3, 10, 4
STEP = 1e-5
LARGEST_JACOBIAN = 64
"""Dimension up to which gradcheck computes whole Jacobians; beyond, its fast mode."""
TWEEDIE = ("score", "posterior_mean")
OPERATORS = ("fisher", "fisher_vector_product", "fisher_vector_product_vjp", "fisher_vector_product_jvp")

Make = Callable[[], Adapter]


def suspicions(make: Make) -> dict[str, bool | None]:
    """By method, whether it would notice a fault in the adapter that ``make`` returns; ``None``: does not apply."""
    with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
        return {
            "gradcheck": _any(make, _gradcheck),
            "allclose": _any(make, functools.partial(_close, agree=_allclose)),
            "assert_close": _any(make, functools.partial(_close, agree=_assert_close)),
            "finite differences": _any(make, _finite_differences),
        }


def _any(make: Make, method: Callable[[Subject, Problem], bool | None]) -> bool | None:
    subject = _subject(make())
    answers = [method(subject, problem) for problem in _problems(subject)]
    return None if None in answers else any(answers)


def _subject(adapter: Adapter) -> Subject:
    (provided,) = adapter.functions.values()
    return Subject(adapter, load_backend(adapter.backend, adapter.dtype, adapter.device), provided)


def _problems(subject: Subject) -> Iterator[Problem]:
    """Gaussian data, Gaussian noise; weights uniform unless they are asked for."""
    dimension = int(np.prod(subject.adapter.event_shape)) if subject.adapter.event_shape else DIMENSION
    for seed, log_snr in enumerate(LOG_SNRS):
        rng = np.random.default_rng(seed)
        spread = rng.uniform(-0.5, 0.5, BATCH) if subject.adapter.per_sample_noise else np.zeros(BATCH)
        schedule = VPLinear()
        times = np.array([time_near_log_snr(schedule, log_snr + s) for s in spread])
        alpha, sigma = noise_at(schedule, times)
        atoms = rng.standard_normal((ATOMS, dimension))
        weights = rng.dirichlet(np.full(ATOMS, 3.0)) if subject.asks_for("weights") else np.full(ATOMS, 1 / ATOMS)
        values = {
            "x": alpha[:, None] * atoms[:BATCH] + sigma[:, None] * rng.standard_normal((BATCH, dimension)),
            "v": rng.standard_normal((BATCH, dimension)),
            "x0": rng.standard_normal((BATCH, dimension)),
            "t": times,
            "alpha": alpha,
            "sigma": sigma,
            "weights": weights,
        }
        if subject.provided.claim.family == "dirac":
            values["data"] = atoms
        else:
            roots = rng.standard_normal((ATOMS, dimension, dimension)) / np.sqrt(dimension)
            values |= {"means": atoms, "covariances": roots @ roots.swapaxes(1, 2) + np.eye(dimension) / 2}
        yield Problem("everyday", "Gaussian", schedule, values, seed=seed)


def _answer(subject: Subject, handed: Handed) -> Array | None:
    """Return the answer, ``None`` if there is none; a changed argument goes unnoticed, as it would."""
    try:
        return call(subject, handed, subject.dtype)
    except BrokenAnswerError as error:
        return _keep(subject, handed) if "in place" in str(error) else None


def _keep(subject: Subject, handed: Handed) -> Array | None:
    """Call a function that changes its arguments, and look at nothing but its answer."""
    function, answers = subject.provided.function, []

    def copying(**arguments: Any) -> Any:
        copies = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in arguments.items()}
        copies |= {k: v.clone() for k, v in arguments.items() if isinstance(v, torch.Tensor)}
        answers.append(function(**copies))
        return answers[-1]

    provided = dataclasses.replace(subject.provided, function=copying)
    try:
        return call(dataclasses.replace(subject, provided=provided), handed, subject.dtype)
    except BrokenAnswerError:
        return None


def _claim(subject: Subject) -> Claim:
    return subject.provided.claim


def _close(subject: Subject, problem: Problem, agree: Callable[[Array, Array, str], bool]) -> bool:
    handed = round_problem(subject, problem)
    answer = _answer(subject, handed)
    return answer is None or not agree(answer, _claim(subject).truth(make_inputs(handed.values)), subject.dtype)


def _allclose(answer: Array, expected: Array, dtype: str) -> bool:
    return bool(np.allclose(answer, expected))


def _assert_close(answer: Array, expected: Array, dtype: str) -> bool:
    as_dtype = [torch.tensor(np.asarray(a, dtype=np.float64)).to(getattr(torch, dtype)) for a in (answer, expected)]
    try:
        torch.testing.assert_close(*as_dtype)
    except AssertionError:
        return False
    return True


def _finite_differences(subject: Subject, problem: Problem) -> bool | None:
    role = subject.provided.role
    if role == "fisher_vector_product_endpoint":
        return None
    handed = round_problem(subject, problem)
    answer = _answer(subject, handed)
    if answer is None:
        return True
    law, values = make_inputs(handed.values).law, handed.values
    x, alpha, sigma = values["x"], values["alpha"], values["sigma"]

    def differences(function: Callable[[Array], Array]) -> Array:
        """Derivatives along the axes, stacked last."""
        steps = STEP * np.eye(x.shape[1])
        return np.stack([(function(x + h) - function(x - h)) / (2 * STEP) for h in steps], axis=-1)

    if role in TWEEDIE:
        score = differences(lambda points: law.log_density(points, alpha, sigma))
        expected = score if role == "score" else (x + sigma[:, None] ** 2 * score) / alpha[:, None]
    else:
        matrix = -differences(lambda points: law.score(points, alpha, sigma))
        if role == "fisher":
            expected = matrix
        elif "trace" in role:
            expected = np.trace(matrix, axis1=1, axis2=2)
        else:
            expected = (matrix @ values["v"][:, :, None])[:, :, 0]
    scale = np.abs(expected).max()
    return not np.allclose(answer, expected, rtol=1e-3, atol=1e-3 * scale)


def _gradcheck(subject: Subject, problem: Problem) -> bool | None:
    role = subject.provided.role
    if subject.dtype != "float64" or role not in (*TWEEDIE, *OPERATORS):
        return None
    if problem.seed > 0:
        return False  # it takes seconds: one noise level has to do
    values = round_problem(subject, problem).values
    inputs = make_inputs(values)
    alpha, sigma = inputs.alpha, inputs.sigma

    def ask(x: Array, v: Array) -> Array:
        changed = Problem("everyday", "Gaussian", problem.schedule, {**problem.values, "x": x, "v": v}, seed=0)
        with torch.enable_grad():  # backward passes run without
            answer = _answer(subject, round_problem(subject, changed))
        if answer is None:
            raise ValueError("There is no answer.")
        return answer

    class Reference(torch.autograd.Function):
        """The reference, with the derivative under test."""

        @staticmethod
        def forward(context: Any, points: torch.Tensor) -> torch.Tensor:
            context.save_for_backward(points)
            context.save_for_forward(points)
            x = points.detach().numpy()
            if role in TWEEDIE:
                return torch.tensor(inputs.law.log_density(x, alpha, sigma))
            score = inputs.law.score(x, alpha, sigma)
            return torch.tensor(-score)

        @staticmethod
        def backward(context: Any, upstream: torch.Tensor) -> torch.Tensor:
            x, v = context.saved_tensors[0].detach().numpy(), upstream.numpy()
            answer = ask(x, v if v.ndim == 2 else problem.values["v"])
            if role == "posterior_mean":
                answer = (alpha[:, None] * answer - x) / sigma[:, None] ** 2
            if role in TWEEDIE:
                answer = upstream.numpy()[:, None] * answer
            elif role == "fisher":
                answer = np.einsum("bi,bij->bj", v, answer)
            return torch.tensor(answer)

        @staticmethod
        def jvp(context: Any, tangent: torch.Tensor) -> torch.Tensor:
            return torch.tensor(ask(context.saved_tensors[0].detach().numpy(), tangent.detach().numpy()))

    points = torch.tensor(values["x"], requires_grad=True)
    forward = role == "fisher_vector_product_jvp"
    try:
        return not torch.autograd.gradcheck(
            Reference.apply,
            (points,),
            check_forward_ad=forward,
            check_backward_ad=not forward,
            fast_mode=points.shape[1] > LARGEST_JACOBIAN,
        )
    except (RuntimeError, ValueError):
        return True
