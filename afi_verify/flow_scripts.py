"""Stand-alone scripts for claims whose functions see a whole schedule: the frame that their kinds of claim fill.

Other than the scripts of :mod:`~afi_verify.counterexamples`, which know one noise level, these contain the schedule as
source, and epsilon and the trace head at any time.
"""

import inspect
from collections.abc import Mapping
from string import Template

import numpy as np

from afi_properties.problem import Array
from afi_verify import epsilon
from afi_verify.counterexamples import LARGEST_SCRIPT, LOADING, literal
from afi_verify.handing import Handed, Subject
from afi_verify.schedule_source import source_of

_ENDS = ("t_start", "t_end")


def flow_script(
    subject: Subject,
    handed: Handed,
    *,
    what: str,
    numbers: Mapping[str, Array],
    judge: str,
) -> str:
    """Return a script that calls the function on the numbers handed over, and judges; empty if it were too long.

    Parameters
    ----------
    what
        The kind of claim, for the script's first lines.
    numbers
        What the judge needs besides, by name.
    judge
        Python source that may call ``ask(**settings)`` and ends with ``sys.exit``.
    """
    adapter, problem, claim = subject.adapter, handed.problem, subject.provided.claim
    asked = set(subject.provided.parameters) | {"x"}
    if subject.asks_for("eps_fn", "head_fn"):
        asked |= {"data", "weights"}
    arrays = {name: value for name, value in handed.values.items() if name in asked}
    if sum(value.size for value in (*arrays.values(), *numbers.values())) > LARGEST_SCRIPT:
        return ""
    ends = {name: arrays.pop(name) for name in _ENDS if name in arrays}
    lines = [f"{name} = {literal(value)}" for name, value in arrays.items()]
    lines += [f'{name} = float.fromhex("{float(value[0]).hex()}")' for name, value in ends.items()]
    if handed.skew is not None:
        lines += [f"skew_{name} = {literal(getattr(handed.skew, name))}" for name in ("p", "q", "centre")]
    return _SCRIPT.substitute(
        what=what,
        case=repr(problem),
        role=claim.role,
        name=repr(adapter.name),
        adapter=adapter.name.replace("\\", "/").replace('"', "'"),
        source=repr(adapter.source),
        gaussian=claim.family == "gaussian-mixture",
        backend=repr(adapter.backend),
        dtype=repr(adapter.dtype),
        device=repr(adapter.device),
        event_shape=repr(subject.event_shape(problem)),
        per_sample=adapter.per_sample_noise,
        statement=claim.statement,
        arrays="\n".join(lines),
        numbers="\n".join(f"{name} = {literal(np.asarray(value))}" for name, value in numbers.items()),
        loading=LOADING,
        schedule=source_of(problem.schedule.name),
        functions=_functions(subject, handed.skew is not None),
        parameters=", ".join(repr(name) for name in sorted(subject.provided.parameters)),
        judge=judge,
    )


def _functions(subject: Subject, skew: bool) -> str:
    if not subject.asks_for("eps_fn", "head_fn"):
        return ""
    sources = [inspect.getsource(epsilon.dirac_posterior), inspect.getsource(epsilon.skew_epsilon)]
    return "\n\n".join(sources) + "\n\n" + (_SKEW if skew else _EXACT)


_EXACT = '''
def eps_fn(x, t):
    """The exact epsilon: (x - alpha E[x0 | x]) / sigma."""
    flat, alpha, sigma = flattened(x), schedule.alpha(wide_time(t)), schedule.sigma(wide_time(t))
    weights_, differences, noise = dirac_posterior(flat, alpha, sigma, ATOMS, LOG_WEIGHTS, softmax)
    residual = noise - alpha[..., None] * (weights_[..., None] * differences).sum(-2)
    return like((residual / sigma[..., None]).reshape(x.shape), x)


def head_fn(x, t):
    """The exact trace head: E[|x0|^2 | x] / d."""
    flat, alpha, sigma = flattened(x), schedule.alpha(wide_time(t)), schedule.sigma(wide_time(t))
    weights_, _, _ = dirac_posterior(flat, alpha, sigma, ATOMS, LOG_WEIGHTS, softmax)
    return like((weights_ * (ATOMS * ATOMS).sum(-1) / ATOMS.shape[-1]).sum(-1), x)


ATOMS, LOG_WEIGHTS = wide(data), wide(np.log(weights))
'''

_SKEW = '''
def eps_fn(x, t):
    """A function whose Jacobian is known and not symmetric."""
    p, q, centre = wide(skew_p), wide(skew_q), wide(skew_centre)
    value = skew_epsilon(flattened(x), schedule.sigma(wide_time(t)), p, q, centre, tanh)
    return like(value.reshape(x.shape), x)


head_fn = None
'''

_SCRIPT = Template('''"""Replays a counterexample: $role of $adapter, $what.

$case
What must hold: $statement

Needs NumPy, what the implementation needs, and the implementation itself; not afi-verify.
Usage: python replay.py [adapter.py]; exit status 1 if it is wrong again, 0 if it is right.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import inspect
import math
import os
import sys
import types
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import numpy as np

SOURCE = sys.argv[1] if len(sys.argv) > 1 else $source
NAME, ROLE, GAUSSIAN = $name, "$role", $gaussian
BACKEND, DTYPE, DEVICE = $backend, $dtype, $device
EVENT_SHAPE, PER_SAMPLE_NOISE = $event_shape, $per_sample
PARAMETERS = [$parameters]


def numbers(shape, text):
    return np.array([float.fromhex(word) for word in text.split()]).reshape(shape)


# The numbers handed over, exactly.
$arrays

# The truth, and what is accepted.
$numbers


$loading
def wide_time(t):
    return wide(t if hasattr(t, "shape") else np.asarray(float(t)))


def flattened(x):
    return wide(x).reshape(*x.shape[: len(x.shape) - len(EVENT_SHAPE)], -1)


$schedule
$functions

def ask(**settings):
    """Call the function under test."""
    arguments = {}
    for parameter in PARAMETERS:
        value = settings[parameter] if parameter in settings else globals()[parameter]
        if parameter in ("x", "data", "means", "loss_grad"):
            value = array(value.reshape(-1, *EVENT_SHAPE))
        elif parameter in ("alpha", "sigma", "t") and not PER_SAMPLE_NOISE:
            value = float(value[0])
        elif isinstance(value, np.ndarray):
            value = array(value)
        arguments[parameter] = value
    return load_function(ROLE)(**arguments)


$judge''')
