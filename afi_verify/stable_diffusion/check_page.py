"""The results of ``afi-verify sd check`` as a page, from their JSON alone."""

from __future__ import annotations

from typing import Any

from afi_verify.report.study import Axis, Cell, Plot, Section, Series, Study, Table

_WORST = ("error", "fail", "undecided", "vacuous", "pass", "not provided")


def check_study(document: dict[str, Any], command: str, environment: dict[str, str]) -> Study:
    """Arrange a document of :func:`~afi_verify.stable_diffusion.check.run_check`."""
    counts, model = document["verdicts"], document["model"]
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    size = "×".join(map(str, model["latents"]))
    return Study(
        name="a latent diffusion model",
        answer=f"{document['planned']} checks: {told}.",
        tone="pass" if document["ok"] else "fail",
        lead=(
            f"{model['family']} with {model['network']} ({model['parameters']:,} numbers, {model['dtype']}), "
            f"{model['prediction']}, latents of {size}, alpha and sigma of {model['scheduler']}. A check that fails "
            "for a trained network may say that it is not exactly the score of a distribution; its value says how far."
        ),
        sections=(
            Section(
                "Verdicts", ("The worst over prompts and seeds, with the largest value.",), (), (_matrix(document),)
            ),
            Section("Operator", _operator_words(document), _plots(document)),
            Section("What was not passed", (), (), (_failures(document),)),
        ),
        command=command,
        environment=environment,
    )


def _matrix(document: dict[str, Any]) -> Table:
    stages: dict[str, dict[str, list[dict[str, Any]]]] = {}
    checks: list[str] = []
    for item in document["items"]:
        t = item["level"]["t"]
        stage = "trajectory" if t is None else f"t {t:g}, log-SNR {item['level']['log_snr']:.1f}"
        for finding in item["findings"]:
            stages.setdefault(stage, {}).setdefault(finding["check"], []).append(finding)
            if finding["check"] not in checks:
                checks.append(finding["check"])
    rows: list[tuple[str | Cell, ...]] = [
        (check, *(_cell(found.get(check)) for found in stages.values())) for check in checks
    ]
    return Table("", ("Check", *stages), tuple(rows))


def _cell(found: list[dict[str, Any]] | None) -> Cell:
    if not found:
        return Cell("–", "quiet")
    verdict = next(verdict for verdict in _WORST if any(finding["verdict"] == verdict for finding in found))
    values = [finding["value"] for finding in found if finding["value"] is not None]
    tone = "quiet" if verdict == "not provided" else verdict
    return Cell(f"{verdict} {max(values):.2g}" if values else verdict, tone)


def _failures(document: dict[str, Any]) -> Table:
    rows = []
    for item in document["items"]:
        for finding in item["findings"]:
            if finding["verdict"] in ("pass", "not provided"):
                continue
            value, tolerance = (finding[name] for name in ("value", "tolerance"))
            rows.append(
                (
                    item["item"],
                    finding["check"],
                    Cell(finding["verdict"], finding["verdict"]),
                    "–" if value is None else f"{value:.3g}",
                    "–" if tolerance is None else f"{tolerance:.3g}",
                    finding["detail"],
                )
            )
    return Table("", ("Item", "Check", "Verdict", "Value", "Tolerance", "What"), tuple(rows[:500]))


def _skills(document: dict[str, Any]) -> list[dict[str, float]]:
    return [
        {"log_snr": item["level"]["log_snr"], "skill": finding["numbers"]["skill"]}
        for item in document["items"]
        for finding in item["findings"]
        if finding["check"] == "endpoint-operator" and finding["numbers"].get("skill") is not None
    ]


def _operator_words(document: dict[str, Any]) -> tuple[str, ...]:
    skills = [row["skill"] for row in _skills(document)]
    if not skills:
        return ("The skill of AFI-EA was not measured: the covariance was below rounding, or the prediction guided.",)
    better = sum(skill > 0 for skill in skills)
    return (
        "Skill of AFI-EA (eq. 20): 1 less its error over that of F = I/σ², both against the VJP; 1 is perfect, below 0 "
        f"is worse than no covariance at all. Above 0 in {better} of {len(skills)} cases; "
        f"the worst is {min(skills):.3g}.",
    )


def _plots(document: dict[str, Any]) -> tuple[Plot, ...]:
    values = [{**row, "loss": 1 - row["skill"]} for row in _skills(document)]
    if not values:
        return ()
    caption = "Error of AFI-EA over that of the trivial operator; below 1 it helps."
    points = tuple((row["log_snr"], row["loss"]) for row in values)
    axis = Axis("error of AFI-EA / of I/σ²", log=True)
    series = (Series("AFI-EA", points, line=False),)
    return (Plot(caption, Axis("log-SNR"), axis, series, 1.0, "no better than I/σ²"),)
