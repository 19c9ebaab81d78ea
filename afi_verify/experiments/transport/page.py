"""The page of the study, from its numbers and nothing else."""

from collections.abc import Sequence
from typing import Any

from afi_verify.experiments.transport.run import broken_statements
from afi_verify.report.study import Axis, Cell, Plot, Section, Study, Table, series_of

Row = tuple[str | Cell, ...]


def transport_study(document: dict[str, Any]) -> Study:
    """Arrange the numbers of the study as a page."""
    broken = broken_statements(document)
    answer = (
        "The map of the probability-flow ODE is optimal for collinear, product and Gaussian data, and for no three "
        "atoms that are not on a line."
        if not broken
        else f"Not supported by these numbers: {'; '.join(broken)}."
    )
    return Study(
        name="optimal transport",
        answer=answer,
        tone="fail" if broken else "pass",
        lead=(
            "Theorem 1 calls the map optimal if the fundamental matrix of its B is positive semi-definite at every "
            "point. Corrected: it is optimal if and only if its Jacobian is symmetric and positive semi-definite at "
            "every point, symmetric being what makes the map a gradient. For data of bounded support symmetry alone "
            "decides: far out the map is nearly a multiple of the identity, and one that is symmetric everywhere "
            "and never singular keeps the signs of its eigenvalues."
        ),
        sections=(
            _structure(document["structure"]),
            _smallest(document["certificate"], document["triangles"]),
            _samples(document["samples"], document["gaussians"]),
            _routes(document["routes"], document["schedules"]),
            _published(document["published"]),
        ),
        command=document.get("command", ""),
        environment=document.get("environment", {}),
    )


def _structure(rows: list[dict[str, Any]]) -> Section:
    lines: list[Row] = []
    for row in rows:
        symmetric, definite = row["symmetric"] == row["points"], row["definite"] == row["points"]
        expected = symmetric == row["expected_optimal"]
        lines.append(
            (
                row["configuration"],
                str(row["atoms"]),
                str(row["dimension"]),
                _number(row["median_asymmetry"]),
                _number(row["largest_asymmetry"]),
                f"{row['symmetric']} of {row['points']}",
                f"{row['definite']} of {row['points']}",
                _number(row["least_eigenvalue_ratio"]),
                _number(row["least_determinant"]),
                "optimal" if definite else "not optimal",
                Cell("optimal" if symmetric and definite else "not optimal", "pass" if expected else "fail"),
            )
        )
    blind = [
        row["configuration"] for row in rows if row["definite"] == row["points"] and row["symmetric"] < row["points"]
    ]
    levels = rows[0]["log_snr"]
    return Section(
        "Symmetry and definiteness, apart",
        (
            f"Maps from log-SNR {levels[0]:g} to {levels[1]:g}, half of the points drawn from q at the start, half of "
            "them images of noise. Asymmetry is |J - Jᵀ|/|J| in Frobenius norms; the eigenvalue is the least of the "
            "symmetric part over its largest.",
            "Determinants are positive everywhere (log det J is the integral of the divergence), so a Jacobian that is "
            "symmetric and indefinite would need an even number of negative eigenvalues; none was met.",
            f"A checker that looks only at eigenvalues of the symmetric part calls {len(blind)} of these maps optimal "
            f"that are not: {'; '.join(blind)}."
            if blind
            else "Definiteness of the symmetric part fails at some point of every map that is not optimal.",
        ),
        tables=(
            Table(
                "Jacobians by configuration",
                (
                    "Data",
                    "Atoms",
                    "d",
                    "Median asymmetry",
                    "Largest asymmetry",
                    "Symmetric to 1e-8",
                    "Symmetric part definite",
                    "Least eigenvalue",
                    "Least det J",
                    "By definiteness alone",
                    "Corrected criterion",
                ),
                tuple(lines),
            ),
        ),
    )


def _smallest(certificate: dict[str, Any], triangles: list[dict[str, Any]]) -> Section:
    low, high = certificate["asymmetry"]
    bounds = zip(certificate["lower"], certificate["upper"], strict=True)
    entries: list[Row] = [
        (f"J{i + 1}{j + 1}", f"{a:.17g}", f"{b:.17g}")
        for i, pair in enumerate(bounds)
        for j, (a, b) in enumerate(zip(*pair, strict=True))
    ]
    entries.append(("J12 - J21", f"{low:.17g}", f"{high:.17g}"))
    lines: list[Row] = []
    for row in triangles:
        name = (
            f"(-1, 0), (1, 0), (0.3, {row['height']:g})"
            if "height" in row
            else ", ".join(f"({x:.3g}, {y:.3g})" for x, y in row["atoms"])
        )
        lines.append((name, _number(row["asymmetry"]), _number(row["numerical_error"])))
    values = certificate["symmetric_part_eigenvalues"]
    return Section(
        "The smallest configuration that is not optimal",
        (
            "In one dimension, and for one or two atoms in any, the data are collinear. Then the posterior mean is an "
            "affine function of x across the line and moves along the line by a number that depends on the coordinate "
            "along it alone: the flow is a product of an increasing one-dimensional flow and a dilation, for any two "
            "times and any schedule, weights or density on the line. Its Jacobian is symmetric positive: optimal. "
            "The same holds of products of such laws along orthogonal axes, and of laws that depend on |x| alone.",
            "So three atoms in two dimensions are the fewest that can fail, and every three that are not on one line "
            "do, between any two noise levels. Go far out along the bisector of two of them, away from the "
            "third, with some offset: its weight ε is exponentially small, and to first order in ε the "
            "entries of J across and along the edge differ by the integral of ε V(a) (j(end)/j(a) - j(a)), "
            "where j > 0 is the growth along the edge and V ≠ 0 the third atom's part of the covariance; the "
            "weight is concentrated at the noisier end, where the bracket is j(end) - 1 or its negative, not 0.",
            f"Certificate, by Taylor's method in ball arithmetic ({certificate['precision']} bits): atoms "
            f"{certificate['atoms']}, x = {certificate['x']}, from (α, σ) = "
            f"{tuple(certificate['levels'][0])} to {tuple(certificate['levels'][1])}. J12 - J21 is at least "
            f"{min(abs(low), abs(high)):.6g} in magnitude: "
            + ("proven not to be 0" if certificate["proven"] else "not decided")
            + f". The symmetric part of the same Jacobian has the eigenvalues {values[0]:.4g} and {values[1]:.4g}: "
            "definiteness sees nothing.",
        ),
        tables=(
            Table("Proven enclosure of the Jacobian", ("Entry", "At least", "At most"), tuple(entries)),
            Table(
                "Largest asymmetry over points for three atoms, from noise of 10 to 0.2",
                ("Atoms", "Largest asymmetry", "Numerical error"),
                tuple(lines),
            ),
        ),
    )


def _samples(rows: list[dict[str, Any]], gaussians: list[dict[str, Any]]) -> Section:
    def gain(part: dict[str, Any] | None) -> str:
        return "-" if part is None else f"{_number(abs(part['gain']))} ({part['moved']} moved)"

    lines: list[Row] = []
    for row in rows:
        ring = row.get("ring")
        parts = [part for part in (row["sample"], ring) if part is not None]
        moved = any(part["moved"] for part in parts)
        tone = "" if moved != row["expected_optimal"] else "fail"
        lines.append(
            (
                row["configuration"],
                gain(row["sample"]),
                gain(ring),
                _number(ring["turn"]) if ring else "-",
                Cell("not optimal: proven by a better pairing" if moved else "no better pairing exists", tone),
            )
        )
    return Section(
        "Against POT's exact solver, and the Bures map",
        (
            "A map is optimal if and only if no finite set of pairs (x, T(x)) can be paired better (cyclical "
            "monotonicity), so POT's exact solver must find nothing to gain on any sample of an optimal map. The "
            "converse needs the right sample: a map that turns by ω radians, in the metric in which it does not "
            "stretch, needs a cycle of more than 2π/ω points before the gain of turning outweighs the cost of "
            "shifting, and a random sample rarely has one. So a ring of points lies around the largest turn found. "
            "Gains are relative: the largest possible is 4.",
            "For Gaussian data the covariances α²Σ + σ²I of all times commute, and the flow is the Bures map between "
            "its two ends; POT's closed form and the integrated flow agree to "
            f"{max(max(row['map'], row['jacobian']) for row in gaussians):.1e}. So Gaussian data are optimal in any "
            "dimension and between any two times.",
        ),
        tables=(
            Table(
                "What the best pairing gains over the map's",
                ("Data", "Random sample", "Ring", "Largest turn ω", "Verdict"),
                tuple(lines),
            ),
            Table(
                "The integrated flow of a Gaussian against the Bures map",
                ("d", "Map", "Jacobian", "Commutator of the covariances"),
                tuple(
                    (str(row["dimension"]), _number(row["map"]), _number(row["jacobian"]), _number(row["commutator"]))
                    for row in gaussians
                ),
            ),
        ),
    )


def _routes(routes: list[dict[str, Any]], schedules: list[dict[str, Any]]) -> Section:
    names = tuple(routes[0]["differences"])
    worst = max(max(row["differences"].values()) for row in routes)
    return Section(
        "Three routes, and no schedule",
        (
            f"The Jacobian by the fundamental matrix of the corrected B along the trajectory, by autograd through the "
            f"solver and by extrapolated differences: largest relative difference from the oracle {worst:.1e}.",
            "With n = x/σ and a = α/σ the probability-flow ODE is dn/da = E[x₀ given n, a], whatever the schedule: "
            "differentiate x/σ and insert f = α'/α and g² = (σ²)' - 2fσ². So all "
            "schedules with the same log-SNR at both ends have the same map up to the scale of x; their optimality "
            "cannot differ. In units of the noise, map and Jacobian of all schedules agree to "
            f"{max(max(row['map'], row['jacobian']) for row in schedules):.1e}.",
        ),
        tables=(
            Table(
                "Relative difference from the oracle (under VP)",
                ("Data", "log-SNR", *names, "Oracle's error"),
                tuple(
                    (
                        row["configuration"],
                        f"{row['log_snr'][0]:g} to {row['log_snr'][1]:g}",
                        *(_number(row["differences"][name]) for name in names),
                        _number(row["oracle_error"]),
                    )
                    for row in routes
                ),
            ),
            Table(
                "Difference from rectified flow, three atoms, log-SNR 3 to -3",
                ("Schedule", "Map", "Jacobian"),
                tuple((row["schedule"], _number(row["map"]), _number(row["jacobian"])) for row in schedules),
            ),
        ),
    )


def _published(rows: list[dict[str, Any]]) -> Section:
    converged = [row["converged"]["index"] for row in rows]
    errors = [f"{row['printed']['index'] / row['converged']['index'] - 1:+.0%} under {row['process']}" for row in rows]
    least = min(row["printed"]["index_error"] / row["converged"]["index"] for row in rows)
    most = max(row["printed"]["index_error"] / row["converged"]["index"] for row in rows)
    turned = [row["turned"]["index"] for row in rows]
    indefinite = ", ".join(f"{row['collinear']['indefinite']:.0%} ({row['process']})" for row in rows)
    points = [
        {"process": row["process"], "steps": answer["steps"], "distance": answer["distance"]}
        for row in rows
        for answer in row["euler"]
    ]
    starts = rows[0]["starts"]
    return Section(
        "The published experiment, to convergence",
        (
            "Three atoms at (0.5, 0), (0, -0.5) and (0, 0); starts from N(0, σ²I) at the noisy end; A by Euler "
            "steps of A' = BA with B as printed, the states by DDIM, 20 evenly spaced times, as in the script of the "
            f"authors' repository; {starts} starts, the same for all. Its index is |a₁₂ - a₂₁|/√(a₁₂² + a₂₁²), of the "
            "off-diagonal entries alone. Schedules are self-consistent here; in the script sub-VP combines VP's σ with "
            "sub-VP's g, with β at the two ends exchanged.",
            f"Converged, the mean index is {min(converged):.3f} to {max(converged):.3f} under all four: the data's "
            "asymmetry, hardly the schedule's (which matters by its log-SNR at both ends alone). "
            f"With 20 Euler steps it is off by {'; '.join(errors)}. Start by start, the error of the index "
            f"is {least:.0%} to {most:.0%} of its mean. The differences between schedules that 20 "
            "steps show are discretisation; that there is asymmetry is not.",
            f"The index depends on the axes: with plane and atoms turned by 37° the maps have {min(turned):.3f} to "
            f"{max(turned):.3f}, while |A - Aᵀ|/|A| is what it was. On collinear atoms A is a polynomial in "
            "commuting matrices at every step, so the index is 0 to rounding however few the steps; but 20 "
            f"steps make the symmetric part indefinite for {indefinite} of the starts, where the true one is positive.",
        ),
        plots=(
            Plot(
                "Mean distance of A/|A| from the converged one by the number of Euler steps: order 1.",
                Axis("times", log=True),
                Axis("distance", log=True),
                series_of(points, "steps", "distance", "process"),
            ),
        ),
        tables=(_index_table(rows),),
    )


def _index_table(rows: Sequence[dict[str, Any]]) -> Table:
    steps = [answer["steps"] for answer in rows[0]["euler"]]
    return Table(
        "Mean index of the off-diagonal entries; |A - Aᵀ|/|A| in brackets",
        (
            "Process",
            "log-SNR",
            "20, B as printed",
            *(f"{count}, B corrected" for count in steps),
            "Converged",
            "Numerical error",
        ),
        tuple(
            (
                row["process"],
                f"{row['log_snr'][0]:.1f} to {row['log_snr'][1]:.1f}",
                *(
                    f"{part['index']:.4f} ({part['asymmetry']:.4f})"
                    for part in (row["printed"], *row["euler"], row["converged"])
                ),
                _number(row["numerical_error"]),
            )
            for row in rows
        ),
    )


def _number(value: float) -> str:
    return f"{value:.2g}"
