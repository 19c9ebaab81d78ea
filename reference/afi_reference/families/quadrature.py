"""Gauss rules: positive integrands, summed without a cancellation."""

import functools

import numpy as np

from afi_reference.distribution import Array

NODES = 96
"""Enough for ``exp(-50 t^2)`` on [-1, 1] to the precision of a longdouble."""

NEGLIGIBLE = 50.0
"""What is ``exp(-50)`` below the peak of an integrand is below the rounding of a longdouble."""


@functools.cache
def gauss_legendre(count: int = NODES) -> tuple[Array, Array]:
    """Return nodes and weights on [0, 1], shape (count,) each, in longdouble."""
    start, _ = np.polynomial.legendre.leggauss(count)
    nodes = start.astype(np.longdouble)
    for _ in range(3):  # Newton's steps square the error of the float64 start
        value, slope = _legendre(count, nodes)
        nodes = nodes - value / slope
    _, slope = _legendre(count, nodes)
    weights = 1 / ((1 - nodes**2) * slope**2)
    return (1 + nodes) / 2, weights


def _legendre(degree: int, x: Array) -> tuple[Array, Array]:
    before, value = np.ones_like(x), x
    for k in range(2, degree + 1):
        before, value = value, ((2 * k - 1) * x * value - (k - 1) * before) / k
    return value, degree * (before - x * value) / (1 - x**2)


_HALF_KRONROD = (
    (0.995657163025808080735527280689003, 0.011694638867371874278064396062192),
    (0.973906528517171720077964012084452, 0.032558162307964727478818972459390),
    (0.930157491355708226001207180059508, 0.054755896574351996031381300244580),
    (0.865063366688984510732096688423493, 0.075039674810919952767043140916190),
    (0.780817726586416897063717578345042, 0.093125454583697605535065465083366),
    (0.679409568299024406234327365114874, 0.109387158802297641899210590325805),
    (0.562757134668604683339000099272694, 0.123491976262065851077958109585166),
    (0.433395394129247190799265943165784, 0.134709217311473325928054001771707),
    (0.294392862701460198131126603103866, 0.142775938577060080797094273138717),
    (0.148874338981631210884826001129720, 0.147739104901338491374841515972068),
    (0.0, 0.149445554002916905664936468389821),
)


@functools.cache
def gauss_kronrod() -> tuple[Array, Array, Array]:
    """Return nodes on [-1, 1], the weights of Kronrod (21) and of the embedded Gauss rule (10), shape (21,).

    The difference of the two rules is the error of the ten-point rule, hence far above that of the other.
    """
    half = np.array(_HALF_KRONROD)
    nodes = np.concatenate([-half[:, 0], half[-2::-1, 0]])
    kronrod = np.concatenate([half[:, 1], half[-2::-1, 1]])
    gauss = np.zeros(21)
    gauss[1::2] = np.polynomial.legendre.leggauss(10)[1]
    return nodes, kronrod, gauss
