"""Reducing an expression with sums and integrals over the data to zero, or showing that it is not zero.

A sum over the atoms and an integral against a density are linear in their body. Once constants are pulled
out of them, what is left are posterior moments, and equality is a question about rational functions of them.
"""

from functools import reduce

import sympy
from sympy import Add, Expr, ImmutableMatrix, Integral, Sum


def split_totals(expression: Expr) -> Expr:
    """Distribute every sum and integral over the terms of its body and pull out constant factors.

    Parameters
    ----------
    expression : Expr
        An expression with `Sum` and `Integral` nodes that are not nested in one another.

    Returns
    -------
    Expr
        An equal expression, in which equal moments are the same node.
    """
    return expression.xreplace({total: _split(total) for total in expression.atoms(Sum, Integral)})


def reduce_to_zero(expression: Expr) -> Expr:
    """Bring an expression over a common denominator and expand the numerator.

    Moments, exponentials and error functions count as independent unknowns. That is sufficient for zero: an
    identity between rational functions of unknowns holds whatever the unknowns are.

    Parameters
    ----------
    expression : Expr
        A rational expression in symbols, undetermined functions, moments and exponentials.

    Returns
    -------
    Expr
        Exactly zero, or an expression equal to the one given.
    """
    expression = split_totals(expression)
    moments = _unknowns(expression, Sum, Integral)
    expression = expression.xreplace(moments)
    transcendentals = _unknowns(expression, sympy.exp, sympy.erf)
    _pair_reciprocals(transcendentals)
    numerator, denominator = sympy.fraction(sympy.together(expression.xreplace(transcendentals)))
    numerator = sympy.expand(numerator)
    if numerator == 0:
        return sympy.S.Zero
    return (numerator / denominator).xreplace(_inverse(transcendentals)).xreplace(_inverse(moments))


def column(value: Expr | ImmutableMatrix) -> ImmutableMatrix:
    """Write a scalar as a 1x1 matrix, and leave a matrix as it is.

    Parameters
    ----------
    value : Expr or ImmutableMatrix
        One side of a statement.

    Returns
    -------
    ImmutableMatrix
        The same side, as a matrix.
    """
    return ImmutableMatrix(value) if isinstance(value, sympy.MatrixBase) else ImmutableMatrix([value])


def jacobian(field: ImmutableMatrix, x: tuple[Expr, ...]) -> ImmutableMatrix:
    """Differentiate a column of expressions: row a, column b is the derivative of entry a by ``x[b]``.

    Parameters
    ----------
    field : ImmutableMatrix
        A column of expressions.
    x : tuple of Expr
        The coordinates.

    Returns
    -------
    ImmutableMatrix
        The Jacobian matrix.
    """
    return ImmutableMatrix(field.shape[0], len(x), lambda a, b: field[a].diff(x[b]))


def gradient(scalar: Expr, x: tuple[Expr, ...]) -> ImmutableMatrix:
    """Differentiate an expression by each coordinate.

    Parameters
    ----------
    scalar : Expr
        The expression.
    x : tuple of Expr
        The coordinates.

    Returns
    -------
    ImmutableMatrix
        The gradient, a column.
    """
    return ImmutableMatrix([scalar.diff(coordinate) for coordinate in x])


def _split(total: Expr) -> Expr:
    bound = [limit[0] for limit in total.limits]
    # `expand` would take the exponent of a kernel apart and hide that two moments share the kernel.
    kernels = _unknowns(total.function, sympy.exp)
    terms = Add.make_args(sympy.expand(total.function.xreplace(kernels)))
    parts = (term.xreplace(_inverse(kernels)).as_independent(*bound, as_Add=False) for term in terms)
    return reduce(lambda result, part: result + part[0] * total.func(part[1], *total.limits), parts, sympy.S.Zero)


def _unknowns(expression: Expr, *kinds: type[Expr]) -> dict[Expr, Expr]:
    return {node: sympy.Dummy(real=True) for node in sorted(expression.atoms(*kinds), key=str)}


def _inverse(unknowns: dict[Expr, Expr]) -> dict[Expr, Expr]:
    return {unknown: node for node, unknown in unknowns.items() if unknown.is_Dummy}


def _pair_reciprocals(unknowns: dict[Expr, Expr]) -> None:
    """Let the unknown for ``exp(-z)`` be one over the unknown for ``exp(z)``."""
    for node in list(unknowns):
        reciprocal = 1 / node
        if reciprocal in unknowns and unknowns[reciprocal].is_Dummy and unknowns[node].is_Dummy:
            unknowns[node] = 1 / unknowns[reciprocal]
