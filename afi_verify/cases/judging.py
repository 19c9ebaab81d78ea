"""Verdicts on answers that came back: from code in any language, in float32 or float64."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from afi_properties.claim import ANSWER_SHAPES
from afi_properties.problem import Array
from afi_verify.cases.quantities import QUANTITIES
from afi_verify.cases.table import DTYPES, Table
from afi_verify.results import AdapterResult, CheckResult, Counterexample, FormulaMargin, Point, Verdict

_KINDS = {(claim.family, claim.role): claim.answer for claim in QUANTITIES}


@dataclasses.dataclass(frozen=True, eq=False)
class _Judged:
    """One answer beside the truth; errors and margins as in the file, per point."""

    case: Mapping[str, Any]
    answer: Array
    truth: Array
    errors: Array  # (B,) in multiples of the attainable; NaN where the dtype cannot represent the truth
    coarse: Array  # (B,) the same in multiples of what float32 could attain
    margins: Array  # (formulas, B)


def judge(
    table: Table, answers: Mapping[str, Array], float64: Mapping[str, Array], *, source: str
) -> tuple[AdapterResult, ...]:
    """Hold answers against a table, one result for each dtype that they come in.

    Parameters
    ----------
    table
        The golden cases.
    answers
        By tensor name, as :func:`afi_verify.cases.table.read_answers` returns them.
    float64
        Answers of the same code in float64; may be empty. They tell float32 code that loses digits from code that is
        wrong, and get no verdict of their own.
    source
        What the user calls the file.

    Returns
    -------
    tuple
        One :class:`~afi_verify.results.AdapterResult` for each dtype among the answers.
    """
    dtypes = dict.fromkeys(_dtype(answer) for answer in answers.values())
    return tuple(
        AdapterResult(
            name=source.rsplit("/", 1)[-1].removesuffix(".safetensors"),
            backend="file",
            dtype=dtype,
            device="",
            source=source,
            checks=tuple(
                _check(table, family, role, dtype, answers, float64, source)
                for family, roles in table.catalogue["quantities"].items()
                for role in roles
            ),
        )
        for dtype in sorted(dtypes)
    )


def _dtype(answer: Array) -> str:
    return str(answer.dtype)


def _check(
    table: Table,
    family: str,
    role: str,
    dtype: str,
    answers: Mapping[str, Array],
    float64: Mapping[str, Array],
    source: str,
) -> CheckResult:
    about = table.catalogue["quantities"][family][role]
    blank = CheckResult(
        id=f"{source.rsplit('/', 1)[-1].removesuffix('.safetensors')}/{dtype}/{role}/{about['claim']}/{family}",
        role=role,
        claim=about["claim"],
        scenario=family,
        statement=about["statement"],
        printed=about["printed"],
        verdict=Verdict.NOT_PROVIDED,
        message=f"The file has no {dtype} answer for {role} on {family} data.",
        cases=0,
        items=0,
        evidence=0,
        limit=table.catalogue["limit"],
        worst_error=None,
        median_error=None,
    )
    asked = [case for case in table.catalogue["cases"] if case["family"] == family and _asks(table, case, role)]
    there = [case for case in asked if _dtype_of(answers, case, role) == dtype]
    if not there:
        return blank
    decided = [case for case in asked if role not in case["undecided"]]
    missing = [case["name"] for case in decided if _dtype_of(answers, case, role) is None]
    if missing:
        message = f"{len(missing)} of {len(decided)} answers are missing, the first of them {missing[0]}/answer/{role}."
        return dataclasses.replace(blank, verdict=Verdict.ERROR, message=message, cases=len(there))
    try:
        judged = [_judge_one(table, case, role, dtype, answers) for case in there if case in decided]
    except _MisshapenError as error:
        return dataclasses.replace(blank, verdict=Verdict.ERROR, message=str(error), cases=len(there))
    found = _with_evidence(dataclasses.replace(blank, message="", cases=len(there)), judged, about["wrong"])
    verdict, message = _verdict(found, judged, asked, role, dtype, float64, table)
    bad = [j for j in judged if (j.errors > found.limit).any()]
    if verdict in (Verdict.FAIL, Verdict.INACCURATE) and bad:
        simplest = min(bad, key=lambda j: (j.answer.size, j.case["name"]))
        worst = max(bad, key=lambda j: np.nanmax(j.errors))
        found = dataclasses.replace(found, simplest=_describe(simplest, role), worst=_describe(worst, role))
    return dataclasses.replace(found, verdict=verdict, message=message)


class _MisshapenError(Exception):
    """An answer that is none: the message says why."""


def _asks(table: Table, case: Mapping[str, Any], role: str) -> bool:
    return role in case["undecided"] or f"{case['name']}/answer/{role}" in table.tensors


def _dtype_of(answers: Mapping[str, Array], case: Mapping[str, Any], role: str) -> str | None:
    answer = answers.get(f"{case['name']}/answer/{role}")
    return None if answer is None else _dtype(answer)


def _judge_one(table: Table, case: Mapping[str, Any], role: str, dtype: str, answers: Mapping[str, Array]) -> _Judged:
    name = f"{case['name']}/answer/{role}"
    answer, truth = answers[name], table.tensors[name]
    if dtype not in DTYPES:
        raise _MisshapenError(f"{name} is {dtype}; answers are judged in {' and '.join(DTYPES)}.")
    shape = ANSWER_SHAPES[_KINDS[case["family"], role]](case["batch"], (case["dimension"],))
    if answer.shape != shape:
        raise _MisshapenError(f"{name} has shape {answer.shape}; expected {shape}.")
    row = DTYPES.index(dtype)
    attainable = table.tensors[f"{case['name']}/attainable/{role}"]
    margins = table.tensors[f"{case['name']}/margin/{role}"][row]
    with np.errstate(all="ignore"):
        distance = np.sqrt(np.square((answer.astype(np.float64) - truth).reshape(len(truth), -1)).sum(axis=1))
        distance = np.where(np.isnan(distance), np.inf, distance)
        errors, coarse = (np.where(np.isinf(a), np.nan, distance / a) for a in (attainable[row], attainable[0]))
    return _Judged(case, answer, truth, errors, coarse, np.where(np.isinf(attainable[row]), 0, margins))


def _with_evidence(blank: CheckResult, judged: Sequence[_Judged], wrong: Sequence[str]) -> CheckResult:
    margins = []
    for index, formula in enumerate(wrong):
        values = np.concatenate([j.margins[index] for j in judged]) if judged else np.zeros(0)
        values = values[~np.isnan(values)]  # NaN: there the formula is no other than the truth
        if len(values):
            margins.append(FormulaMargin(formula, float(values.max()), int((values > 1).sum()), len(values)))
    points = [
        Point(log_snr, float(error), float(margin), j.case["dimension"], j.case["atoms"])
        for j in judged
        for log_snr, error, margin in zip(j.case["log_snr"], j.errors, _nearest(j), strict=True)
        if not np.isnan(error)
    ]
    errors = [point.error for point in points]
    return dataclasses.replace(
        blank,
        items=sum(len(j.errors) for j in judged),
        evidence=sum(point.margin > 1 for point in points),
        worst_error=max(errors, default=None),
        median_error=float(np.median(errors)) if errors else None,
        margins=tuple(margins),
        points=tuple(points),
    )


def _nearest(judged: _Judged) -> Array:
    known = np.where(np.isnan(judged.margins), np.inf, judged.margins).min(axis=0)
    return np.where(np.isinf(known), 0, known)


def _verdict(
    found: CheckResult,
    judged: Sequence[_Judged],
    asked: Sequence[Mapping[str, Any]],
    role: str,
    dtype: str,
    float64: Mapping[str, Array],
    table: Table,
) -> tuple[Verdict, str]:
    bad = [j for j in judged if (j.errors > found.limit).any()]
    if bad:
        worst = max(float(np.nanmax(j.errors)) for j in bad)
        counted = f"So in {len(bad)} of {len(judged)} cases."
        if any(not np.isfinite(_where_bad(j, found.limit)).all() for j in bad):
            return Verdict.FAIL, f"There is a NaN or an infinity where the truth is finite. {counted}"
        off = f"It is off by {worst:.3g} times what {dtype} can attain"
        if dtype == "float64" and all((j.coarse[j.errors > found.limit] <= found.limit).all() for j in bad):
            return Verdict.INACCURATE, f"{off}, but as good as float32 code. {counted}"
        if dtype == "float32" and float64:
            if all(_right_in_float64(table, j, role, found.limit, float64) for j in bad):
                return Verdict.INACCURATE, f"{off}, but right in float64. {counted}"
        elif dtype == "float32":
            counted += " Answers of the same code in float64 (--float64) would tell lost digits from a wrong formula."
        return Verdict.FAIL, f"{off}. {counted}"
    reasons = [case["undecided"][role] for case in asked if role in case["undecided"]]
    if reasons:
        return Verdict.UNDECIDED, f"The oracle could not decide {len(reasons)} of {len(asked)} cases: {reasons[0]}."
    blind = [margin.formula for margin in found.margins if not margin.telling]
    if found.evidence and not blind:
        return Verdict.PASS, ""
    against = f": none tells the truth from “{'”, “'.join(blind)}”" if blind else ""
    return Verdict.VACUOUS, f"The cases cannot tell right from wrong in {dtype}{against}. A pass would mean nothing."


def _where_bad(judged: _Judged, limit: float) -> Array:
    return judged.answer[judged.errors > limit]


def _right_in_float64(table: Table, judged: _Judged, role: str, limit: float, float64: Mapping[str, Array]) -> bool:
    if f"{judged.case['name']}/answer/{role}" not in float64:
        return False
    again = _judge_one(table, judged.case, role, "float64", float64)
    return bool((again.coarse[judged.errors > limit] <= limit).all())


def _describe(judged: _Judged, role: str) -> Counterexample:
    point = int(np.nanargmax(judged.errors))
    case, error = judged.case, float(judged.errors[point])
    return Counterexample(
        case=f"{case['name']}, point {point}: {case['description']}",
        batch=case["batch"],
        atoms=case["atoms"],
        dimension=case["dimension"],
        log_snr=case["log_snr"][point],
        error=error,
        message=f"{role} returned {_short(judged.answer[point])}, expected {_short(judged.truth[point])}.",
        script="",
    )


def _short(answer: Array) -> str:
    numbers = [f"{value:.9g}" for value in np.ravel(answer)[:4]]
    return ", ".join(numbers) + (", …" if answer.size > len(numbers) else "")
