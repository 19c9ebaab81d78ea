"""The page about the likelihood study, from its numbers alone."""

from typing import Any

from afi_verify.experiments.likelihood import GOAL, steps_for
from afi_verify.implementations.torch_solvers import ORDERS
from afi_verify.report.study import Axis, Cell, Plot, Section, Series, Study, Table

NEAR = 0.15
"""How far an observed order may be from the one that the method has in theory."""


def as_it_should(document: dict[str, Any]) -> bool:
    """Whether every second-order solver reaches the goal, and every order is as in theory."""
    fixed = document["fixed"]
    orders = all(abs(row["order"] - ORDERS[row["solver"]]) <= NEAR for row in fixed)
    return orders and all(steps_for(row) for row in fixed if ORDERS[row["solver"]] == 2)


def make_study(document: dict[str, Any]) -> Study:
    """Arrange the numbers of :func:`~afi_verify.experiments.likelihood.run_likelihood` as a page."""
    fixed, good = document["fixed"], as_it_should(document)
    best = max(min(row["largest"]) for row in fixed if ORDERS[row["solver"]] == 2)
    finest = max(row["steps"][-1] for row in fixed)
    if good:
        answer = (
            f"With the exact trace the likelihood is within {best:.1g} bits per dimension of the exact one at {finest} "
            "steps of a second-order solver, and every solver converges with its order."
        )
    else:
        answer = "Some solver does not converge as it should, or does not reach 1e-3 bits per dimension."
    return Study(
        name="Likelihood along the flow",
        answer=answer,
        tone="pass" if good else "fail",
        lead=(
            f"Eq. 14 on Gaussian mixtures of four components, {document['points']} samples each, in float64. Score, "
            "trace and the density at the end are exact: what is left is the solver's error. Steps are equally long "
            "in log-SNR."
        ),
        sections=(_fixed(document), _adaptive(document), _prior(document)),
        command=document["command"],
        environment=document["environment"],
    )


def _fixed(document: dict[str, Any]) -> Section:
    fixed = document["fixed"]
    rows = []
    for row in fixed:
        enough, order = steps_for(row), ORDERS[row["solver"]]
        near = abs(row["order"] - order) <= NEAR
        rows.append(
            (
                f"{row['schedule']}, d = {row['dimension']}",
                row["solver"],
                str(order),
                Cell(f"{row['order']:.2f}", "pass" if near else "fail"),
                str(enough) if enough else f"more than {row['steps'][-1]}",
                f"{row['largest'][-1]:.2g}",
            )
        )
    flows = dict.fromkeys(f"{row['schedule']}, d = {row['dimension']}" for row in fixed)
    plots = tuple(
        Plot(
            f"{flow}: root mean square error by number of steps; an order is a slope.",
            Axis("steps", log=True),
            Axis("bits per dimension", log=True),
            tuple(
                Series(row["solver"], tuple(zip(row["steps"], row["rms"], strict=True)))
                for row in fixed
                if f"{row['schedule']}, d = {row['dimension']}" == flow
            ),
        )
        for flow in flows
    )
    table = Table(
        f"Order of convergence, and the steps from which on no sample is off by more than {GOAL:g} bits per dimension",
        ("flow", "solver", "order", "observed", f"steps for {GOAL:g}", "largest error at the last"),
        tuple(rows),
    )
    return Section("Solvers with a number of steps", (), plots, (table,))


def _adaptive(document: dict[str, Any]) -> Section:
    rows = tuple(
        (
            f"{row['schedule']}, d = {row['dimension']}",
            f"{row['tolerance']:g}",
            str(row["evaluations"]),
            f"{row['rms']:.2g}",
            f"{row['largest']:.2g}",
        )
        for row in document["adaptive"]
    )
    columns = ("flow", "tolerance", "evaluations", "root mean square error", "largest error")
    return Section(
        "Adaptive steps",
        ("The tolerance is that of one step; errors are in bits per dimension.",),
        (),
        (Table("Error and cost by tolerance", columns, rows),),
    )


def _prior(document: dict[str, Any]) -> Section:
    rows = tuple((f"{row['schedule']}, d = {row['dimension']}", f"{row['mean']:.2g}") for row in document["prior"])
    return Section(
        "The prior in place of the density at the end",
        (
            "No solver removes this part: the prior N(0, σ² I) is not the distribution that the flow ends in, while "
            "α is not 0 there.",
        ),
        (),
        (Table("Mean absolute difference, in bits per dimension", ("flow", "difference"), rows),),
    )
