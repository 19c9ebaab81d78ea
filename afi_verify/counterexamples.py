"""Counterexamples as data and as scripts that replay them without any of our code."""

import inspect
import math
from collections.abc import Mapping
from string import Template

import numpy as np

from afi_properties.problem import Array
from afi_verify import epsilon
from afi_verify.examination import Finding
from afi_verify.handing import Subject
from afi_verify.results import Counterexample

LARGEST_SCRIPT = 400
"""Most numbers that a replay script holds: reports stay small, and so does what somebody has to read."""


def fits_in_a_script(finding: Finding) -> bool:
    """Whether a finding's numbers are few enough to be written out."""
    return _count(finding.handed.values) + finding.truth.answer.size <= LARGEST_SCRIPT


def describe(subject: Subject, finding: Finding) -> Counterexample:
    """Return a finding as a counterexample, with the script that replays it where it fits."""
    problem, point = finding.problem, finding.worst_point
    error = None if math.isnan(finding.errors[point]) else float(finding.errors[point])
    message = finding.message
    if finding.answer is not None:
        returned, expected = _some(finding.answer[point]), _some(finding.truth.answer[point])
        message += f" Point {point}: returned {returned}, expected {expected}."
    return Counterexample(
        case=repr(problem),
        batch=problem.batch,
        atoms=problem.atoms,
        dimension=problem.dimension,
        log_snr=float(problem.log_snr[point]),
        error=error,
        message=message,
        script=replay_script(subject, finding) if fits_in_a_script(finding) else "",
        id=problem.id or "",
    )


def replay_script(subject: Subject, finding: Finding) -> str:
    """Return a Python script that calls the function on these numbers and compares; no afi-verify needed."""
    handed, adapter, claim = finding.handed, subject.adapter, subject.provided.claim
    needed = _needed(subject, handed.values)
    arrays = "\n".join(f"{name} = {literal(value)}" for name, value in needed.items())
    skew = ""
    if handed.skew is not None:
        skew = "\n".join(f"skew_{name} = {literal(getattr(handed.skew, name))}" for name in ("p", "q", "centre"))
    return _SCRIPT.substitute(
        case=repr(finding.problem),
        role=claim.role,
        name=repr(adapter.name),
        adapter=adapter.name.replace("\\", "/").replace('"', "'"),
        source=repr(adapter.source),
        gaussian=claim.family == "gaussian-mixture",
        backend=repr(adapter.backend),
        dtype=repr(adapter.dtype),
        device=repr(adapter.device),
        event_shape=repr(subject.event_shape(finding.problem)),
        per_sample=adapter.per_sample_noise,
        statement=claim.statement,
        arrays=arrays,
        skew=skew,
        expected=literal(finding.truth.answer),
        attainable=literal(finding.truth.attainable),
        functions=_functions(subject, handed.skew is not None),
        loading=LOADING,
        parameters=", ".join(repr(name) for name in sorted(subject.provided.parameters)),
    )


def _needed(subject: Subject, values: Mapping[str, Array]) -> dict[str, Array]:
    names = set(subject.provided.parameters) | {"x", "alpha", "sigma"}
    if subject.asks_for("eps_fn", "head_fn"):
        names |= {"data", "weights"}
    return {name: value for name, value in values.items() if name in names}


def _functions(subject: Subject, skew: bool) -> str:
    """Source of the functions of known Jacobian, where the function under test asks for one."""
    if not subject.asks_for("eps_fn", "head_fn"):
        return "eps_fn = head_fn = None\n"
    sources = [inspect.getsource(epsilon.dirac_posterior), inspect.getsource(epsilon.skew_epsilon)]
    definition = _SKEW_FUNCTIONS if skew else _EXACT_FUNCTIONS
    return "from typing import Any\n\n\n" + "\n\n".join(sources) + "\n\n" + definition


def literal(value: Array) -> str:
    """Return an array as source code, exactly."""
    numbers = " ".join(float(number).hex() for number in np.asarray(value, dtype=np.float64).ravel())
    return f"numbers({tuple(value.shape)}, {numbers!r})"


def _count(values: Mapping[str, Array]) -> int:
    return sum(value.size for value in values.values())


def _some(values: Array) -> str:
    flat = np.asarray(values, dtype=np.float64).ravel()
    text = ", ".join(f"{number:.9g}" for number in flat[:4])
    return text if flat.size == 1 else f"[{text}{', …' if flat.size > 4 else ''}]"


_EXACT_FUNCTIONS = '''
def eps_fn(x, t):
    """The exact epsilon at the noise level of this case, whatever t: (x - alpha E[x0 | x]) / sigma."""
    flat = wide(x).reshape(*x.shape[: x.ndim - len(EVENT_SHAPE)], -1)
    weights, differences, noise = dirac_posterior(flat, WIDE_ALPHA, WIDE_SIGMA, ATOMS, LOG_WEIGHTS, softmax)
    residual = noise - WIDE_ALPHA[..., None] * (weights[..., None] * differences).sum(-2)
    return like((residual / WIDE_SIGMA[..., None]).reshape(x.shape), x)


def head_fn(x, t):
    """The exact trace head at the noise level of this case, whatever t: E[|x0|^2 | x] / d."""
    flat = wide(x).reshape(*x.shape[: x.ndim - len(EVENT_SHAPE)], -1)
    weights, _, _ = dirac_posterior(flat, WIDE_ALPHA, WIDE_SIGMA, ATOMS, LOG_WEIGHTS, softmax)
    return like((weights * (ATOMS * ATOMS).sum(-1) / ATOMS.shape[-1]).sum(-1), x)


ATOMS, LOG_WEIGHTS = wide(data), wide(np.log(weights))
'''

_SKEW_FUNCTIONS = '''
def eps_fn(x, t):
    """A function whose Jacobian is known and not symmetric, at the noise level of this case, whatever t."""
    flat = wide(x).reshape(*x.shape[: x.ndim - len(EVENT_SHAPE)], -1)
    p, q, centre = wide(skew_p), wide(skew_q), wide(skew_centre)
    return like(skew_epsilon(flat, WIDE_SIGMA, p, q, centre, tanh).reshape(x.shape), x)


head_fn = None
'''

LOADING = '''class Adapter:
    """Stands in for afi_verify.Adapter: remembers the functions."""

    functions = {}

    def __init__(self, name, *, dtype="float64", **options):
        self.key = (name, dtype)

    def provides(self, role, function=None):
        if function is None:
            return lambda decorated: self.provides(role, decorated)
        names = inspect.signature(function).parameters
        self.functions[(*self.key, role, "means" in names or "covariances" in names)] = function
        return function

    def known_failure(self, check, **options):
        pass


def load_function(role):
    if SOURCE.endswith(".py"):
        if not os.path.exists(SOURCE):
            print("there is no", SOURCE, "here; give its path: python replay.py path/to/adapter.py", file=sys.stderr)
            sys.exit(2)
        if Adapter.functions:
            return Adapter.functions[NAME, DTYPE, role, GAUSSIAN]
        stand_in = types.ModuleType("afi_verify")
        stand_in.verify = lambda *args, **kwargs: None
        stand_in.parametrize_with_checks = lambda *args, **kwargs: lambda test: test
        stand_in.Adapter = Adapter
        sys.modules["afi_verify"] = stand_in
        sys.path.insert(0, SOURCE.rpartition("/")[0] or ".")
        spec = importlib.util.spec_from_file_location("adapter_under_test", SOURCE)
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        return Adapter.functions[NAME, DTYPE, role, GAUSSIAN]
    adapters = importlib.import_module(SOURCE).ADAPTERS  # an implementation that comes with afi-verify
    adapter = next(a for a in adapters if (a.name, a.dtype) == (NAME, DTYPE))
    return adapter.functions[role, "gaussian-mixture" if GAUSSIAN else "dirac"].function


if BACKEND == "torch":
    import torch

    def array(a):
        return torch.tensor(a, device=DEVICE).to(getattr(torch, DTYPE))

    def wide(a):
        return a.to(torch.float64) if isinstance(a, torch.Tensor) else torch.tensor(a, device=DEVICE)

    def like(a, b):
        return a.to(b.dtype)

    def softmax(logits):
        return torch.softmax(logits, -1)

    def plain(a):
        return a.detach().to("cpu", torch.float64).numpy()

    tanh = torch.tanh
else:
    if BACKEND == "jax":
        import jax

        jax.config.update("jax_enable_x64", DTYPE == "float64")
        import jax.numpy as xp
    else:
        xp = np

    def array(a):
        return xp.asarray(a, dtype=DTYPE)

    def wide(a):
        return xp.asarray(a) if BACKEND == "jax" and DTYPE != "float64" else xp.asarray(a, dtype="float64")

    def like(a, b):
        return a.astype(b.dtype)

    def softmax(logits):
        e = xp.exp(logits - logits.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    def plain(a):
        return np.asarray(a, dtype="float64")

    tanh = xp.tanh

'''
"""The part of a script that finds the functions under test, and makes and reads arrays of their library."""

_SCRIPT = Template('''"""Replays a counterexample: $role of $adapter.

$case
What must hold: $statement

Needs NumPy, what the implementation needs, and the implementation itself; not afi-verify.
Usage: python replay.py [adapter.py]; exit status 1 if the answer is wrong again, 0 if it is right.
"""

import importlib
import importlib.util
import inspect
import os
import sys
import types

import numpy as np

SOURCE = sys.argv[1] if len(sys.argv) > 1 else $source
NAME, ROLE, GAUSSIAN = $name, "$role", $gaussian
BACKEND, DTYPE, DEVICE = $backend, $dtype, $device
EVENT_SHAPE, PER_SAMPLE_NOISE = $event_shape, $per_sample
LIMIT = 16  # in multiples of the attainable error


def numbers(shape, text):
    return np.array([float.fromhex(word) for word in text.split()]).reshape(shape)


# The numbers handed over, exactly.
$arrays
$skew

# The truth, and the error that is attainable in this precision, per point.
expected = $expected
attainable = $attainable


${loading}WIDE_ALPHA, WIDE_SIGMA = (wide(a if PER_SAMPLE_NOISE else a[0]) for a in (alpha, sigma))

$functions

class schedule:
    """The schedule at the noise level of this case, whatever t."""

    alpha = staticmethod(lambda t: WIDE_ALPHA)
    sigma = staticmethod(lambda t: WIDE_SIGMA)


arguments = {}
for parameter in [$parameters]:
    value = globals()[parameter]
    if parameter in ("x", "v", "x0", "data", "means", "eps"):
        value = array(value.reshape(-1, *EVENT_SHAPE))
    elif parameter in ("alpha", "sigma", "t", "alpha_bar") and not PER_SAMPLE_NOISE:
        value = array(value[0]) if parameter == "alpha_bar" else float(value[0])
    elif isinstance(value, np.ndarray):
        value = array(value)
    arguments[parameter] = value

answer = plain(load_function(ROLE)(**arguments)).reshape(expected.shape)
error = np.sqrt(((answer - expected) ** 2).reshape(len(expected), -1).sum(axis=1)) / attainable
print("returned:", answer, "expected:", expected, sep="\\n")
print("error, in multiples of the attainable, per point:", error)
wrong = not (error <= LIMIT).all()
print("reproduced: the answer is wrong" if wrong else "not reproduced: the answer is right")
sys.exit(wrong)
''')
