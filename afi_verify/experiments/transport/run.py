"""Run the whole study."""

from collections.abc import Callable
from typing import Any

from afi_verify.experiments.transport.certificate import certify_triangle, flatten_triangles
from afi_verify.experiments.transport.jacobians import compare_routes, compare_schedules, examine_structure
from afi_verify.experiments.transport.published import run_published
from afi_verify.experiments.transport.samples import compare_with_bures, compare_with_exact_solver, require_pot

SCHEMA = "afi-verify/experiments/transport/1"


def run_transport(*, quick: bool, listen: Callable[[str], None]) -> dict[str, Any]:
    """Return the numbers of the study: about two minutes of one core, half a minute if ``quick``.

    Raises
    ------
    UnusableError
        If POT or torch is not installed.
    """
    require_pot()
    parts: dict[str, Callable[[], Any]] = {
        "routes": lambda: compare_routes(1 if quick else 4),
        "schedules": lambda: compare_schedules(1 if quick else 8),
        "structure": lambda: examine_structure(4 if quick else 64),
        "samples": lambda: compare_with_exact_solver(*((100, 200) if quick else (400, 720))),
        "gaussians": compare_with_bures,
        "certificate": certify_triangle,
        "triangles": lambda: flatten_triangles(64 if quick else 512),
        "published": lambda: run_published(50 if quick else 1000),
    }
    document: dict[str, Any] = {"schema": SCHEMA}
    for name, part in parts.items():
        listen(name)
        document[name] = part()
    return document


def broken_statements(document: dict[str, Any]) -> list[str]:
    """Return which of the study's statements its numbers do not support; empty if they support all of them."""
    routes = [max(row["differences"].values()) for row in document["routes"]]
    schedules = [max(row["map"], row["jacobian"]) for row in document["schedules"]]
    by_name = {row["configuration"]: row for row in document["structure"]}
    samples = {row["configuration"]: row for row in document["samples"]}
    statements = {
        "the three routes agree to 1e-8": max(routes) < 1e-8,
        "all schedules have the same map to 1e-8": max(schedules) < 1e-8,
        "collinear and product data have symmetric positive Jacobians": all(
            row["symmetric"] == row["definite"] == row["points"] for row in by_name.values() if row["expected_optimal"]
        ),
        "data in general position have a Jacobian that is not symmetric": all(
            row["symmetric"] < row["points"] for row in by_name.values() if not row["expected_optimal"]
        ),
        "determinants are positive": all(row["least_determinant"] > 0 for row in by_name.values()),
        "the exact solver never gains on collinear and product data": all(
            part["moved"] == 0
            for row in samples.values()
            if row["expected_optimal"]
            for part in (row["sample"], row.get("ring", {"moved": 0}))
        ),
        "the exact solver gains on a ring for the published atoms": samples["three atoms (published)"]["ring"]["gain"]
        > 1e-6,
        **_published_statements(document["published"]),
        "Gaussians: the flow is the Bures map": all(
            max(row["map"], row["jacobian"]) < 1e-9 for row in document["gaussians"]
        ),
        "three atoms in the plane are proven not to be optimal": document["certificate"]["proven"],
        "every triangle is asymmetric beyond its numerical error": all(
            row["asymmetry"] > 100 * row["numerical_error"] for row in document["triangles"] if row.get("height") != 0.0
        ),
    }
    return [statement for statement, holds in statements.items() if not holds]


def _published_statements(rows: list[dict[str, Any]]) -> dict[str, bool]:
    def spread(values: list[float]) -> float:
        return max(values) - min(values)

    by_euler, converged = ([row[part]["index"] for row in rows] for part in ("printed", "converged"))
    ratios = [row["euler"][-2]["distance"] / row["euler"][-1]["distance"] for row in rows]
    return {
        "most of what 20 Euler steps show between schedules is discretisation": spread(converged)
        < spread(by_euler) / 4,
        "Euler steps converge with order 1": all(3.5 < ratio < 4.5 for ratio in ratios),
        "turning the plane changes the index and not the asymmetry": all(
            abs(row["turned"]["asymmetry"] - row["converged"]["asymmetry"]) < 1e-6
            and abs(row["turned"]["index"] - row["converged"]["index"]) > 0.05
            for row in rows
        ),
        "collinear atoms have the index 0": all(row["collinear_turned"]["index"] < 1e-9 for row in rows),
    }
