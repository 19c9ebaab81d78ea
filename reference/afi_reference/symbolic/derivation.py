"""What a symbolic derivation is: two sides of a statement, and their difference, which must be zero."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from sympy import Expr, ImmutableMatrix

from afi_reference.symbolic.algebra import column, reduce_to_zero


@dataclass(frozen=True)
class Derivation:
    """One statement of the paper, derived from the definition of the diffused density.

    Attributes
    ----------
    label : str
        The claim's label, such as ``prop-1`` or ``eq-22``.
    title : str
        The claim in a few words.
    statement : tuple of ImmutableMatrix
        What SymPy derives, and what is claimed (as corrected, where the print is wrong), entry by entry; a
        scalar is a 1x1 matrix.
    residual : ImmutableMatrix
        Derived minus claimed, reduced: the zero matrix.
    latex : str
        The claim for a report, as corrected.
    generality : str
        For which dimension, data and noise the derivation holds.
    printed_residual : ImmutableMatrix or None
        Derived minus printed, reduced, where the paper prints something else; None otherwise.
    erratum : str or None
        What is printed and what is right; None where the print is right.
    """

    label: str
    title: str
    statement: tuple[ImmutableMatrix, ImmutableMatrix]
    residual: ImmutableMatrix
    latex: str
    generality: str
    printed_residual: ImmutableMatrix | None = None
    erratum: str | None = None

    @property
    def holds(self) -> bool:
        """Whether the residual is exactly zero.

        Returns
        -------
        bool
            True when every entry has been reduced to zero.
        """
        return all(entry == 0 for entry in self.residual)


Derive: TypeAlias = Callable[..., Derivation]
"""A derivation. Its keyword-only integers are the numbers in the claim: exponents, factors, signs. The
defaults make the claim true, any other value of any of them makes it false; that is how tests plant faults.
"""


def derive(
    label: str,
    title: str,
    derived: Expr | ImmutableMatrix,
    claimed: Expr | ImmutableMatrix,
    *,
    latex: str,
    generality: str,
    printed: Expr | ImmutableMatrix | None = None,
    erratum: str | None = None,
    reduction: Callable[[Expr], Expr] = reduce_to_zero,
) -> Derivation:
    """Subtract the claimed side from the derived one and reduce the difference.

    Parameters
    ----------
    label, title : str
        Which claim it is.
    derived, claimed : Expr or ImmutableMatrix
        The two sides.
    latex, generality : str
        As in `Derivation`.
    printed : Expr or ImmutableMatrix, optional
        The claimed side as the paper prints it, where that differs.
    erratum : str, optional
        What is printed and what is right.
    reduction : callable
        Simplifies a difference that is zero to zero.

    Returns
    -------
    Derivation
        The statement with its residuals.
    """
    left = column(derived)

    def residual(right: Expr | ImmutableMatrix) -> ImmutableMatrix:
        return ImmutableMatrix((left - column(right)).applyfunc(reduction))

    return Derivation(
        label=label,
        title=title,
        statement=(left, column(claimed)),
        residual=residual(claimed),
        latex=latex,
        generality=generality,
        printed_residual=None if printed is None else residual(printed),
        erratum=erratum,
    )
