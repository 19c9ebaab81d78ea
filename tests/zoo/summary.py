"""What a kill matrix says, in numbers."""

import statistics
from collections.abc import Sequence
from typing import Any

from afi_properties.diagnosis import Fault
from tests.zoo.everyday import METHODS
from tests.zoo.matrix import ACCUSED, CAUGHT, INNOCENT, LOSES_DIGITS, MUTANT, Record, kills


def summarise(records: Sequence[Record], *, whole: bool = True) -> dict[str, Any]:
    """Return the sums, and ``"ok"``; without the ``whole`` zoo a check may well catch nothing that others do not."""
    mutants, innocents, losers = ([r for r in records if r.kind == k] for k in (MUTANT, INNOCENT, LOSES_DIGITS))
    verdicts = [(r, d, r.verdict(d)) for r in mutants for d in r.dtypes]
    survivors = [f"{r.name} ({d}): {v}" for r, d, v in verdicts if v not in CAUGHT]
    accused = [f"{r.name} ({d}): {r.verdict(d)}" for r in innocents for d in r.dtypes if r.verdict(d) in ACCUSED]
    misjudged = [f"{r.name} ({d}): {v}" for r in losers for d in r.dtypes if (v := r.verdict(d)) != "inaccurate"]
    checks = kills(records)
    superfluous = [check for check, (_, alone) in checks.items() if not alone]
    seconds = [o.seconds for r in mutants for d in r.dtypes if (o := r.caught(d)) and o.seconds is not None]
    found = [(r, o) for r in mutants for d in r.dtypes if (o := r.simplest(d))]
    small = [o for r, o in found if _within(o, r.smallest)]
    diagnosed = [
        (r, {o.fault for o in r.outcomes if o.dtype == d and o.fault}) for r in mutants if r.fault for d in r.dtypes
    ]
    named = [r for r, faults in diagnosed if r.fault in faults]
    related = [r for r, faults in diagnosed if Fault(r.fault).family in {Fault(fault).family for fault in faults}]
    some = [r for r, faults in diagnosed if faults]
    everyday = {}
    for method in METHODS:
        sides = {}
        for side, animals in (("mutants", mutants), ("innocents", innocents)):
            applicable = [r for r in animals if any(r.everyday[d][method] is not None for d in r.dtypes)]
            noticed = [r.name for r in applicable if any(r.everyday[d][method] for d in r.dtypes)]
            sides[side] = {"applies": len(applicable), "suspects": len(noticed)}
        everyday[method] = sides
    return {
        "ok": not survivors and not accused and not misjudged and not (whole and superfluous),
        "mutants": len(mutants),
        "mutants_by_dtype": len(verdicts),
        "caught_as": {v: sum(x == v for _, _, x in verdicts) for v in CAUGHT},
        "survivors": survivors,
        "innocents": len(innocents),
        "innocents_by_dtype": sum(len(r.dtypes) for r in innocents),
        "accused": accused,
        "losing_digits": len(losers),
        "losing_digits_misjudged": misjudged,
        "median_seconds_to_catch": round(statistics.median(seconds), 3) if seconds else None,
        "slowest_seconds_to_catch": round(max(seconds), 3) if seconds else None,
        "simplest_small_enough": len(small),
        "with_simplest": len(found),
        "not_small_enough": sorted(
            {f"{r.name} ({o.dtype}): N={o.atoms}, d={o.dimension}" for r, o in found if not _within(o, r.smallest)}
        ),
        "diagnosable": len(diagnosed),
        "with_diagnosis": len(some),
        "diagnosis_names_the_fault": len(named),
        "diagnosis_names_its_family": len(related),
        "checks": {check: {"catches": n, "alone": alone} for check, (n, alone) in checks.items()},
        "superfluous_checks": superfluous,
        "everyday": everyday,
    }


def _within(outcome: Any, smallest: tuple[int, int]) -> bool:
    return bool(outcome.atoms <= max(3, smallest[0]) and outcome.dimension <= max(3, smallest[1]))


def describe(summary: dict[str, Any]) -> str:
    """Return the summary as text."""
    lines = [
        f"{summary['mutants']} mutants ({summary['mutants_by_dtype']} by dtype): "
        f"{len(summary['survivors'])} survive; caught as {summary['caught_as']}",
        f"{summary['innocents']} right ones ({summary['innocents_by_dtype']} by dtype): "
        f"{len(summary['accused'])} accused",
        f"{summary['losing_digits']} that lose digits: {len(summary['losing_digits_misjudged'])} misjudged",
        f"seconds to catch: median {summary['median_seconds_to_catch']}, most {summary['slowest_seconds_to_catch']}",
        f"simplest counterexample small enough: {summary['simplest_small_enough']} of {summary['with_simplest']}",
        f"diagnosis names the fault: {summary['diagnosis_names_the_fault']} of {summary['diagnosable']}; "
        f"names its family: {summary['diagnosis_names_its_family']}; "
        f"names another: {summary['with_diagnosis'] - summary['diagnosis_names_its_family']}",
    ]
    for name, check in summary["checks"].items():
        lines.append(f"  {name}: catches {check['catches']}, alone {len(check['alone'])}")
    for method, sides in summary["everyday"].items():
        (m, n), (a, b) = ((side["suspects"], side["applies"]) for side in sides.values())
        lines.append(f"  {method}: suspects {m} of {n} mutants and {a} of {b} right ones")
    for title in ("survivors", "accused", "losing_digits_misjudged", "superfluous_checks", "not_small_enough"):
        lines += [f"{title}: {entry}" for entry in summary[title]]
    return "\n".join(lines) + "\n"
