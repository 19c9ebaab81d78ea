"""Conversions among the things a diffusion model may predict: noise, data, v, score and velocity.

Each is a combination ``a x_0 + b eps`` of the two unknowns of ``x_t = alpha x_0 + sigma eps`` (eq. 1):

==========  ===========  ===========  =============================================================
kind        a            b            meaning
==========  ===========  ===========  =============================================================
eps         0            1            noise
x0          1            0            data, the paper's y-prediction
v           -sigma       alpha        v-prediction (Salimans & Ho 2022): ``alpha eps - sigma x_0``
score       0            -1/sigma     gradient of log q_t
velocity    alpha'       sigma'       ``dx_t/dt`` along the PF-ODE (eq. 6): ``f x + g2/(2 sigma) eps``
==========  ===========  ===========  =============================================================

So a prediction and ``x_t`` are two linear equations for ``x_0`` and ``eps``, and nothing needs
``alpha^2 + sigma^2 = 1``: for v the solution is ``x_0 = (alpha x - sigma v)/(alpha^2 + sigma^2)``.
"""

from typing import Literal, TypeAlias, get_args

import numpy as np

from afi_reference.schedules.schedule import Array

Kind: TypeAlias = Literal["eps", "x0", "v", "score", "velocity"]
"""What a prediction is."""

KINDS: tuple[Kind, ...] = get_args(Kind)
"""The kinds of prediction that `convert` knows."""


def convert(
    prediction: Array,
    source: Kind,
    target: Kind,
    *,
    x: Array,
    alpha: Array,
    sigma: Array,
    rates: tuple[Array, Array] | None = None,
) -> Array:
    """Turn a prediction of one kind into the same prediction of another kind.

    Parameters
    ----------
    prediction
        What the model says at ``x``: shape (B, ...) or a scalar.
    source, target
        The kind given and the kind wanted.
    x
        The noisy points, of the shape of ``prediction``.
    alpha, sigma
        The noise level: scalars, or one value per point, shape (B,).
    rates
        ``schedule.rates(t)``: the time derivatives of alpha and sigma, scalars or of shape (B,). Needed to
        convert from or to ``"velocity"``.

    Returns
    -------
    Array
        Of the shape of ``prediction``.

    Raises
    ------
    ValueError
        If a kind is unknown, a shape does not fit, the rates are missing, or the prediction does not
        determine the answer: noise at ``alpha = 0`` says nothing about the data, nor data at ``sigma = 0``
        about the noise. (torch and JAX arrays may be traced: there the result is not finite.)
    """
    for kind in (source, target):
        if kind not in KINDS:
            raise ValueError(f"Unknown kind of prediction {kind!r}; known are {', '.join(KINDS)}.")
    if np.shape(prediction) != np.shape(x):
        raise ValueError(
            f"prediction must have the shape of x, {tuple(np.shape(x))}; got {tuple(np.shape(prediction))}."
        )
    if "velocity" in (source, target) and rates is None:
        raise ValueError('Converting "velocity" needs rates=schedule.rates(t).')
    alpha, sigma = _per_point("alpha", alpha, x), _per_point("sigma", sigma, x)
    if rates is not None:
        rates = _per_point("alpha rate", rates[0], x), _per_point("sigma rate", rates[1], x)
    return _solve(prediction, source, target, x, alpha, sigma, rates)


def _solve(
    prediction: Array,
    source: Kind,
    target: Kind,
    x: Array,
    alpha: Array,
    sigma: Array,
    rates: tuple[Array, Array] | None,
) -> Array:
    # The score is the noise in another unit. As an equation of its own it would be lost at alpha = 0.
    if source == "score" and target != "score":
        return _solve(-sigma * prediction, "eps", target, x, alpha, sigma, rates)
    if target == "score" and source != "score":
        _require_nonzero(sigma, "the score is infinite at sigma = 0")
        return _solve(prediction, source, "eps", x, alpha, sigma, rates) / -sigma
    if source == target:
        return prediction
    a, b = _coefficients(source, alpha, sigma, rates)
    determinant = a * sigma - b * alpha
    _require_nonzero(determinant, f'"{source}" does not determine "{target}" at this alpha and sigma')
    x0 = (sigma * prediction - b * x) / determinant
    eps = (a * x - alpha * prediction) / determinant
    if target == "x0":
        return x0
    if target == "eps":
        return eps
    a, b = _coefficients(target, alpha, sigma, rates)
    return a * x0 + b * eps


def _coefficients(kind: Kind, alpha: Array, sigma: Array, rates: tuple[Array, Array] | None) -> tuple[Array, Array]:
    match kind:
        case "eps":
            return 0.0, 1.0
        case "x0":
            return 1.0, 0.0
        case "v":
            return -sigma, alpha
        case _:
            assert kind == "velocity"
            assert rates is not None
            return rates


def _per_point(name: str, value: Array, x: Array) -> Array:
    """Give a value per point, shape (B,), the trailing axes that make it multiply ``x``."""
    shape = tuple(np.shape(value))
    if shape == ():
        return value
    batch = tuple(np.shape(x))[:1]
    if shape not in ((1,), batch):
        raise ValueError(f"{name} must be a number or have shape {batch or '()'}; got {shape}.")
    return value.reshape(shape + (1,) * (len(np.shape(x)) - 1))


def _require_nonzero(value: Array, message: str) -> None:
    if isinstance(value, int | float | np.generic | np.ndarray) and not np.all(value):
        raise ValueError(f"Not defined: {message}.")
