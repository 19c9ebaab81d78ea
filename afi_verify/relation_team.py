"""The functions under test that a relation ties to one another, and how it asks them."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from afi_properties.known_jacobian import SkewEps
from afi_properties.problem import Array
from afi_properties.relation import Question, Relation
from afi_verify.errors import BrokenAnswerError
from afi_verify.handing import Handed, Subject, call, round_problem

_DERIVED = frozenset({"alpha_bar", "eps", "eps_fn", "head", "head_fn"})


@dataclasses.dataclass(frozen=True, eq=False)
class Team:
    """The functions of one adapter, by role, that a relation ties to one another."""

    relation: Relation
    roles: tuple[str, ...]
    subjects: Mapping[str, Subject]

    @property
    def dtype(self) -> str:
        """The precision that the adapter claims."""
        return self.subjects[self.roles[0]].dtype

    @property
    def handed(self) -> dict[str, frozenset[str]]:
        """Which derived numbers each function asks for, by role."""
        return {role: self.subjects[role].provided.parameters & _DERIVED for role in self.roles}


@dataclasses.dataclass(frozen=True, eq=False)
class Implementation:
    """The functions under test, as an :data:`~afi_properties.relation.Ask`."""

    team: Team
    dtype: str
    skew: SkewEps | None

    def __call__(self, role: str, question: Question) -> Array:
        """Return the answer for a role.

        Raises
        ------
        BrokenAnswerError
            If the function raises, changes an argument, or returns something that is not an answer.
        """
        try:
            answer = call(self.team.subjects[role], self.handed(role, question), self.dtype)
            return np.asarray(answer, dtype=np.float64)
        except BrokenAnswerError as error:
            raise BrokenAnswerError(f"{role}: {error}") from error

    def handed(self, role: str, question: Question) -> Handed:
        """Return the numbers of a question as they are handed over."""
        handed = round_problem(self.team.subjects[role], question)
        # The same function plays epsilon at every point that is asked about.
        return handed if self.skew is None else dataclasses.replace(handed, skew=self.skew)
