"""Where a check stands in the page, and what its adapter is called there."""

from afi_verify.results import AdapterResult


def anchor_of(adapter: int, check: int) -> str:
    """Return the id of a check's entry, by its place in the results, counted from 0."""
    return f"a{adapter + 1}-c{check + 1}"


def title_of(adapter: AdapterResult) -> str:
    """Return the name of an adapter with its precision."""
    return f"{adapter.name} · {adapter.dtype}"
