"""The search for a formula that accounts for wrong answers."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from afi_properties.claims.mistakes import per_point
from afi_properties.diagnosis.exhibit import Exhibit, Fit
from afi_properties.diagnosis.explanation import Explanation, Fault
from afi_properties.diagnosis.factors import Coefficients, Factor, find_factor
from afi_properties.diagnosis.hypotheses import Hypothesis, all_hypotheses
from afi_properties.diagnosis.hypotheses.hypothesis import NotTriedError, Predict, Rounded
from afi_properties.diagnosis.hypotheses.predictions import QUANTITIES
from afi_properties.diagnosis.named import fault_named
from afi_properties.diagnosis.terms import IDENTITY, WHOLE, Term, extra_terms_of, terms_of
from afi_properties.inputs import Inputs
from afi_properties.judgement import LIMIT, norms
from afi_properties.problem import Array

Split: TypeAlias = Callable[[Exhibit], tuple[Term, Array]]
"""Takes the truth apart into a term and the rest."""

MOST_EXHIBITS = 24
"""Of each kind, wrong and right: more would cost time and hardly ever change an explanation."""

_FLOAT64 = 2.0**-53
"""Unit roundoff of what formulas are computed in."""

MOST_SKIPPED = 6
"""A formula that has no answer for the first so many cases is not tried on the others; one that has none for some must
explain as many."""

FEW_EXHIBITS = 8
"""The first so many rule out most factors."""

LARGEST_EXHIBIT = 20_000
"""Most numbers (B times N times d) of a case that formulas are tried on, if there are smaller ones."""


MOST_WORK = 1_000_000_000
"""Numbers that formulas work through before the search is given up: some ten seconds."""

LEAST_WORK = 10_000
"""Of a formula, however small the case."""


class _GivenUpError(Exception):
    """Raised when a search has cost too much: where there are many atoms in many dimensions, every formula is slow."""


class _Exhibits(list[Exhibit]):
    """Those that formulas are tried on, and how much work that may still be."""

    def __init__(self, exhibits: Sequence[Exhibit]) -> None:
        super().__init__(exhibits)
        self._left = MOST_WORK

    def pay(self, exhibit: Exhibit) -> None:
        """Count one formula on one exhibit."""
        self._left -= max(exhibit.size, LEAST_WORK)
        if self._left < 0:
            raise _GivenUpError


def explain(exhibits: Sequence[Exhibit]) -> Explanation | None:
    """Return the formula that accounts for all answers of one check's cases; ``None`` if none does.

    The work is bounded, and counted, so that the same exhibits get the same answer on any machine.
    """
    try:
        return _explain(_Exhibits(_chosen(exhibits)))
    except _GivenUpError:
        return None


def _explain(chosen: _Exhibits) -> Explanation | None:
    if any(e.wrong.any() for e in chosen):
        for search in (
            _named_formulas,
            _changed_terms,
            _other_formulas,
            _scaled_quantities,
            _added_terms,
            _two_changed_terms,
            _estimate,
        ):
            found = search(chosen)
            if found is not None:
                return found
    return None


def _chosen(exhibits: Sequence[Exhibit]) -> list[Exhibit]:
    """Return the exhibits that formulas are tried on: the most telling first."""
    size = max(LARGEST_EXHIBIT, min((e.size for e in exhibits if e.wrong.any()), default=0))
    small = [e for e in exhibits if e.usable.any() and e.size <= size]
    bad = [e for e in small if e.wrong.any()]
    with np.errstate(all="ignore"):
        bad.sort(key=lambda e: -float((e.deviation[e.wrong] / e.truth.attainable[e.wrong]).max()))
    # The most telling half, and an even sample of the rest: a formula must fit far from the worst cases, too.
    head, tail = bad[: MOST_EXHIBITS // 2], bad[MOST_EXHIBITS // 2 :]
    step = max(1, len(tail) // (MOST_EXHIBITS // 2))
    right = [e for e in small if not e.wrong.any()]
    bad = head + tail[::step][: MOST_EXHIBITS // 2]
    # Nearly every formula fails on the first case: a small one that can tell most, with several points and atoms.
    bad.sort(
        key=lambda e: (min(e.problem.batch, 2) * min(e.problem.atoms, 3) * min(e.problem.dimension, 2) < 12, e.size)
    )
    return bad + right[:: max(1, len(right) // MOST_EXHIBITS)][:MOST_EXHIBITS]


def _accounts_for(exhibits: _Exhibits, predict: Predict) -> bool:
    """Whether a formula explains every wrong answer and contradicts no right one."""
    total = Fit()
    tried = skipped = 0
    with np.errstate(all="ignore"):
        for exhibit in exhibits:
            exhibits.pay(exhibit)
            try:
                fit = _fit(exhibit, predict)
            except NotTriedError:
                skipped += int(exhibit.wrong.any())
                if tried == 0 and skipped > MOST_SKIPPED:
                    return False
                continue
            except (ValueError, np.linalg.LinAlgError):  # what is supposed has no answer: an infinite or a singular one
                return False
            tried += int(exhibit.wrong.any())
            total += fit
            if total.missed or total.contradicted:
                return False
    return total.convinces and tried >= min(skipped, MOST_SKIPPED)


def _fit(exhibit: Exhibit, predict: Predict) -> Fit:
    predicted = predict(exhibit)
    if isinstance(predicted, Rounded):
        return exhibit.fit(predicted.answer, slack=predicted.slack)
    candidate = exhibit.truth.answer if predicted is None else predicted
    fit = exhibit.fit(candidate)
    if predicted is None or not (fit.missed or fit.contradicted) or not exhibit.nearly(candidate):
        return fit
    # A wrong formula can be worse conditioned than the right one: measure what rounding its inputs changes.
    spread = np.zeros(len(candidate))
    for draw in range(2):
        again = predict(exhibit.rounded(draw))
        assert not isinstance(again, Rounded)
        spread = np.maximum(spread, norms(np.asarray((candidate if again is None else again) - candidate)))
    return exhibit.fit(candidate, slack=LIMIT * spread)


def _first(exhibits: _Exhibits, hypotheses: Iterator[Hypothesis]) -> Explanation | None:
    return next((words for words, predict in hypotheses if _accounts_for(exhibits, predict)), None)


def _named_formulas(exhibits: _Exhibits) -> Explanation | None:
    formulas = exhibits[0].claim.wrong.items()
    return _first(
        exhibits,
        (
            (Explanation(fault_named(name), f"equals the wrong formula “{name}”"), _by_formula(name))
            for name, _ in formulas
        ),
    )


def _by_formula(name: str) -> Callable[[Exhibit], Array | None]:
    return lambda e: e.claim.wrong[name](e.inputs, e.truth.answer)


def _other_formulas(exhibits: _Exhibits) -> Explanation | None:
    return _first(exhibits, all_hypotheses())


def _changed_terms(exhibits: _Exhibits) -> Explanation | None:
    for name in _common(exhibits, terms_of):
        factor = _factor_of(exhibits, _term_and_rest(name))
        if factor is None:
            continue
        if name == WHOLE:
            return Explanation(factor.fault, f"equals the truth times {factor}" if factor.constant else "is zero")
        return Explanation(factor.fault, _change_of(name, factor))
    return None


def _two_changed_terms(exhibits: _Exhibits) -> Explanation | None:
    """Return a simple change of one term beside which some change of another explains all answers."""
    names = [name for name in _common(exhibits, terms_of) if name != WHOLE]
    if len({float(level) for e in exhibits for level in e.inputs.sigma}) < 4:
        return None  # so much freedom fits anything
    for first, second in itertools.permutations(names, 2):
        for words, fault, change in _SIMPLE_CHANGES:
            factor = _factor_of(exhibits, _beside(first, change, second))
            if factor is not None:
                return Explanation(
                    factor.fault if factor.constant else fault,
                    f"equals the truth with {first} {words} and {second} times {factor}",
                )
    return None


def _beside(first: str, change: Callable[[Inputs], Array], second: str) -> Split:
    def split(exhibit: Exhibit) -> tuple[Term, Array]:
        terms = terms_of(exhibit)
        other, term = _named(terms, first), _named(terms, second)
        excess = per_point(change(exhibit.inputs) - 1, other.value)
        return term, exhibit.truth.answer - term.value + excess

    return split


_SIMPLE_CHANGES: tuple[tuple[str, Fault, Callable[[Inputs], Array]], ...] = (
    ("left out", Fault.TERM_DROPPED, lambda i: np.zeros_like(i.sigma)),
    ("of the other sign", Fault.SIGN, lambda i: -np.ones_like(i.sigma)),
    ("doubled", Fault.TERM_DOUBLED, lambda i: np.full_like(i.sigma, 2)),
    ("halved", Fault.CONSTANT, lambda i: np.full_like(i.sigma, 0.5)),
    ("over d", Fault.ONE_OVER_D, lambda i: np.full_like(i.sigma, 1 / i.dimension)),
    *(
        (f"times σ{name}", Fault.POWER_OF_SIGMA, lambda i, p=power: i.sigma**p)
        for power, name in ((1, ""), (-1, "⁻¹"), (2, "²"), (-2, "⁻²"))
    ),
    *(
        (f"times α{name}", Fault.POWER_OF_ALPHA, lambda i, p=power: i.alpha**p)
        for power, name in ((1, ""), (-1, "⁻¹"), (2, "²"), (-2, "⁻²"))
    ),
)


def _scaled_quantities(exhibits: _Exhibits) -> Explanation | None:
    """Return another quantity of the field, or one term alone, times powers of alpha and sigma."""
    role = exhibits[0].claim.role
    if role in ("score", "posterior_mean"):
        candidates = [(name, _only(name, quantity)) for name, quantity in QUANTITIES]
    else:
        candidates = [(name, _term_alone(name)) for name in _common(exhibits, terms_of) if name != WHOLE]
    for name, split in candidates:
        factor = _factor_of(exhibits, split)
        if factor is not None and factor.constant:
            return Explanation(Fault.PREDICTION_TYPE, f"equals {name} times {factor}")
    return None


def _term_alone(name: str) -> Split:
    return lambda exhibit: (_named(terms_of(exhibit), name), np.zeros_like(exhibit.truth.answer))


def _only(name: str, quantity: Callable[[Inputs], Array]) -> Split:
    return lambda exhibit: (Term(name, quantity(exhibit.inputs)), np.zeros_like(exhibit.truth.answer))


def _term_and_rest(name: str) -> Split:
    def split(exhibit: Exhibit) -> tuple[Term, Array]:
        term = _named(terms_of(exhibit), name)
        return term, exhibit.truth.answer - term.value

    return split


def _added_terms(exhibits: _Exhibits) -> Explanation | None:
    for name in _common(exhibits, extra_terms_of):
        factor = _factor_of(exhibits, _extra_term(name))
        if factor is not None and factor.constant and (name == IDENTITY or 0.01 <= abs(factor.constant) <= 100):
            fault = Fault.EPSILON if name == IDENTITY else Fault.TERM_ADDED
            return Explanation(fault, f"equals the truth plus {name}, by a factor of {factor}")
    return None


def _extra_term(name: str) -> Split:
    return lambda exhibit: (_named(extra_terms_of(exhibit), name), exhibit.truth.answer)


def _common(exhibits: Sequence[Exhibit], terms: Callable[[Exhibit], list[Term]]) -> list[str]:
    """Return the names of the terms that all exhibits have, in order: those of another epsilon have others."""
    names = [[term.name for term in terms(exhibit)] for exhibit in exhibits]
    return [name for name in names[0] if all(name in others for others in names)]


def _named(terms: list[Term], name: str) -> Term:
    return next(term for term in terms if term.name == name)


def _factor_of(exhibits: _Exhibits, split: Split) -> Factor | None:
    """Return the factor by which a term would have to be multiplied to explain all answers, or ``None``."""
    few = exhibits[:FEW_EXHIBITS]
    if len({float(level) for e in few for level in e.inputs.sigma}) >= 4:
        found = _coefficients(exhibits, few, split)
        # The first few rule out nearly all; but where they ask for the factor 1, others may ask for another.
        if found is None or not (found.are_one or find_factor(found)):
            return None
    found = _coefficients(exhibits, exhibits, split)
    return find_factor(found) if found and found.is_telling else None


def _coefficients(paying: _Exhibits, exhibits: Sequence[Exhibit], split: Split) -> Coefficients | None:
    """Return what a term would have to be multiplied by to explain each answer; ``None`` if nothing explains one."""
    values, tolerances, logs = [], [], []
    telling = False
    with np.errstate(all="ignore"):
        for e in exhibits:
            paying.pay(e)
            term, rest = split(e)
            size = norms(term.value)
            flat = term.value.reshape(len(size), -1)
            wanted = np.asarray(e.answer - rest).reshape(len(size), -1)
            c = (flat * wanted).sum(axis=1) / size**2
            candidate = rest + c.reshape(-1, *[1] * (rest.ndim - 1)) * term.value
            roundings = e.precision.unit_roundoff * (size * np.maximum(1, np.abs(c)) + norms(rest))
            roundings = roundings + _FLOAT64 * np.abs(c) * (size + norms(e.truth.answer))  # terms are differences
            fit = e.fit(candidate, slack=LIMIT * roundings)
            if fit.missed:
                return None
            slack = e.rounding(candidate) + LIMIT * roundings
            # A term that is lost in the rounding of the truth, of which it is a difference, has no factor.
            known = size > 1e3 * _FLOAT64 * norms(e.truth.answer)
            points = e.usable & known & np.isfinite(c)
            tolerance = np.maximum(slack, 1e-3 * e.deviation) / size
            telling |= bool((points & e.wrong & (e.deviation > 100 * slack)).any())
            values.append(c[points])
            tolerances.append(tolerance[points])
            logs.append(_logs(e)[points])
    all_values, all_tolerances, all_logs = (np.concatenate(p).astype(np.float64) for p in (values, tolerances, logs))
    return Coefficients(all_values, all_tolerances, all_logs, telling and len(all_values) >= 2)


def _logs(e: Exhibit) -> Array:
    count, batch = e.problem.atoms, e.problem.batch
    sizes = [e.problem.dimension, count, batch, count / (count - 1) if count > 1 else 1.0]
    with np.errstate(all="ignore"):
        columns = [np.log(e.inputs.alpha), np.log(e.inputs.sigma), *(np.full(batch, np.log(s)) for s in sizes)]
    return np.stack(columns, axis=1).astype(np.float64)


def _change_of(name: str, factor: Factor) -> str:
    if factor.constant == 0:
        return f"equals the truth without {name}"
    if str(factor) == "−1":
        return f"equals the truth with the sign of {name} changed"
    return f"equals the truth with {name} times {factor}"


def _estimate(exhibits: _Exhibits) -> Explanation | None:
    """Tell a random estimate of a trace: exact where d = 1, as often above the truth as below otherwise."""
    if exhibits[0].claim.answer != "scalar":
        return None
    if any(e.wrong.any() != (e.problem.dimension > 1) for e in exhibits if e.usable.all()):
        return None
    above = np.concatenate([(e.answer > e.truth.answer)[e.wrong] for e in exhibits])
    in_one = sum(e.problem.dimension == 1 for e in exhibits)
    if in_one < 2 or len(above) < 6 or not 0.2 < above.mean() < 0.8:
        return None
    words = "is like a random estimate of the trace: exact for d = 1, otherwise above the truth and below it"
    return Explanation(Fault.ESTIMATE, words)
