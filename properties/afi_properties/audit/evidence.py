"""The kinds of test that entries are made of, and how tests combine."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from hypothesis import strategies as st

from afi_properties.audit.entry import Method, Outcome, Test
from afi_properties.audit.instances import Instance, search
from afi_reference.symbolic import DERIVATIONS

_LONGEST = 100
"""Characters of a residual that are still read."""


def derivation(label: str) -> Test:
    """Test by a SymPy derivation of ``afi_reference.symbolic``; the form is its keyword numbers.

    The form ``as_printed=True`` stands for the printed statement of a derivation whose numbers cannot express it.
    """

    def test(cases: int, *, as_printed: bool = False, **numbers: int) -> Outcome:
        return _derive(label, as_printed, tuple(numbers.items()))

    return test


@cache
def _derive(label: str, as_printed: bool, numbers: tuple[tuple[str, int], ...]) -> Outcome:
    """Derive once per process what several entries state."""
    result = DERIVATIONS[label](**dict(numbers))
    residual = result.printed_residual if as_printed else result.residual
    if residual is None:
        raise ValueError(f"{label} has no printed statement of its own.")
    if all(entry == 0 for entry in residual):
        return Outcome(True, (Method.SYMBOLIC,), f"derived minus claimed is exactly 0; {result.generality}")
    entries = ", ".join(dict.fromkeys(str(entry) for entry in residual if entry != 0))
    shown = f": {entries}" if len(entries) <= _LONGEST else ""
    return Outcome(False, (Method.SYMBOLIC,), f"derived minus claimed does not vanish identically{shown}")


def no_violation(
    violated: Callable[..., bool], strategy: Callable[[], st.SearchStrategy[Instance]] | None = None
) -> Test:
    """Test by a search for an instance that is proven to violate the statement.

    Parameters
    ----------
    violated : callable
        ``violated(instance, **form)``: whether ball arithmetic proves a violation.
    strategy : callable, optional
        Makes the strategy for instances.

    Returns
    -------
    Test
        Holds if ``cases`` instances hold no violation; otherwise it shows the smallest.
    """

    def test(cases: int, **form: Any) -> Outcome:
        found = search(lambda instance: violated(instance, **form), cases, strategy() if strategy else None)
        if found is None:
            return Outcome(True, (Method.CERTIFIED, Method.PROPERTY), f"no violation in {cases} drawn instances")
        return Outcome(False, (Method.CERTIFIED,), f"smallest counterexample found: {found}", certified=True)

    return test


def all_of(*tests: Test) -> Test:
    """Combine tests of the same statement: it holds if it passes all of them."""

    def test(cases: int, **form: Any) -> Outcome:
        return merge([one(cases, **form) for one in tests])

    return test


def merge(outcomes: list[Outcome]) -> Outcome:
    """Put the outcomes of several tests of one statement together; a failure shows what failed, proven or not."""
    holds = all(o.holds for o in outcomes)
    shown = outcomes if holds else [o for o in outcomes if not o.holds]
    return Outcome(
        holds,
        tuple(dict.fromkeys(m for o in shown for m in o.methods)),
        "; ".join(dict.fromkeys(o.detail for o in shown if o.detail)),
        {name: value for o in outcomes for name, value in o.numbers.items()},
        any(o.certified for o in shown),
    )


def exact(holds: bool, detail: str, numbers: Mapping[str, float | int | str] | None = None) -> Outcome:
    """Return what exact arithmetic, on integers, fractions or symbols, found; a failure counts as proven."""
    return Outcome(holds, (Method.EXACT,), detail, numbers or {}, certified=not holds)


def symbolic(holds: bool, detail: str) -> Outcome:
    """Return what a derivation outside of ``afi_reference.symbolic`` found; a failure counts as proven."""
    return Outcome(holds, (Method.SYMBOLIC,), detail, certified=not holds)


def within(value: float, low: float, high: float, what: str, method: Method = Method.NUMERIC) -> Outcome:
    """Return whether a measured number lies in its stated range (a NaN does not)."""
    return Outcome(low <= value <= high, (method,), f"{what}: {value:.6g}", {what: value})
