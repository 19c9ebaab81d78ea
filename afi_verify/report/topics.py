"""What the pages of the project are about: how the landing page groups them."""

from afi_verify.results import SCHEMA

RUNS = "Implementations on trial"
OTHERS = "Other pages"

TOPICS: dict[str, tuple[str, ...]] = {
    RUNS: (SCHEMA, "afi-verify/sd-check/1"),
    "The paper and its methods": (
        "afi-verify/audit/1",
        "afi-verify/ground-truth/1",
        "afi-verify/experiments/transport/1",
        "afi-verify/likelihood/1",
    ),
    "How far the checks can be trusted": (
        "afi-verify/kill-matrix/1",
        "afi-verify/false-accusations/1",
        "afi-verify/statistics/1",
        "afi-verify/accuracy/1",
        "afi-verify/sd-mutants/1",
    ),
    "Speed and memory": ("afi-verify/bench-oracle/1", "afi-verify/bench-oracle/2", "afi-verify/sd-table1/1"),
    "Figures of the paper, again": tuple(f"afi-verify/sd-fig{number}/1" for number in (1, 2, 3, 4)),
}
"""Schemas by topic, in the order of the page."""

ORDER = (*TOPICS, OTHERS)


def topic_of(schema: str | None) -> str:
    """Return the topic of a page, by the schema of its numbers."""
    return next((topic for topic, schemas in TOPICS.items() if schema in schemas), OTHERS)
