"""What a claim is: a statement, its truth as a formula, and the wrong formulas it must be told from."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TypeAlias

from afi_properties.inputs import Inputs
from afi_properties.problem import Array

Formula: TypeAlias = Callable[[Inputs, Array], Array | None]
"""Computes a wrong answer from the inputs and the right answer; ``None`` where the two cannot differ."""

POINT_PARAMETERS = frozenset({"x", "alpha", "sigma", "alpha_bar", "schedule", "t"})
DIRAC_PARAMETERS = frozenset({"data", "weights"})
MIXTURE_PARAMETERS = frozenset({"means", "covariances", "weights"})
PREDICTION_PARAMETERS = frozenset({"eps", "eps_fn"})
HEAD_PARAMETERS = frozenset({"head", "head_fn"})

ANSWER_SHAPES: dict[str, Callable[[int, tuple[int, ...]], tuple[int, ...]]] = {
    "point": lambda batch, event: (batch, *event),
    "scalar": lambda batch, event: (batch,),
    "flags": lambda batch, event: (batch,),
    "matrix": lambda batch, event: (batch, _size(event), _size(event)),
}
"""Shape of an answer, by kind, for a batch size and an event shape."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnyClaim:
    """What a claim of any kind says of itself.

    Attributes
    ----------
    role, label
        What an implementation provides, and the paper's number for it (``prop-5``).
    family
        ``"dirac"`` or ``"gaussian-mixture"``.
    statement
        What must hold, as one line of text.
    printed
        What the paper prints, where that is wrong; else ``None``.
    answer
        ``"point"``: (B, d); ``"scalar"``: (B,); ``"flags"``: (B,) bool; ``"matrix"``: (B, d, d); ``"head"``: a function
        of (x, t) that returns (B,).
    parameters
        The names that an implementation may ask for.
    """

    role: str
    label: str
    family: str
    statement: str
    answer: str
    parameters: frozenset[str]
    printed: str | None = None

    def answer_shape(self, batch: int, event: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of an answer for ``batch`` points of shape ``event``."""
        return ANSWER_SHAPES[self.answer](batch, event)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim(AnyClaim):
    """A statement of the paper about one role, over one family of data, at one noise level.

    Attributes
    ----------
    truth
        The formula, in the precision of its inputs.
    wrong
        Wrong formulas by name: a case counts as evidence if it tells the truth from all of them.
    eps_kinds
        The functions that play epsilon; see :class:`~afi_properties.problem.Problem`.
    largest_dimension
        The largest d of drawn cases: an answer of shape (B, d, d), or a cost of ``O(d^2)``, needs a limit.
    random
        Whether answers are random, and the statement is about their distribution.
    """

    truth: Callable[[Inputs], Array]
    wrong: Mapping[str, Formula]
    eps_kinds: tuple[str, ...] = ("exact",)
    largest_dimension: int = 16384
    random: bool = False


def _size(event: tuple[int, ...]) -> int:
    size = 1
    for length in event:
        size *= length
    return size
