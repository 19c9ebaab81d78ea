"""Small pipelines on disk, built once: random ones of every kind, and exact ones."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

if importlib.util.find_spec("diffusers") is None:
    # CI installs the extra "sd"; without it test_extra.py says that nothing else here ran.
    collect_ignore_glob = ["test_[!e]*.py", "test_exact.py", "test_experiments.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What diffusers and transformers do inside is theirs to mend; warnings of ours stay errors."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for library in ("diffusers", "transformers"):
                item.add_marker(pytest.mark.filterwarnings(rf"ignore::DeprecationWarning:{library}\..*"))
                item.add_marker(pytest.mark.filterwarnings(rf"ignore::FutureWarning:{library}\..*"))


KINDS = ("sd15", "sd2", "sd2-v", "sdxl", "sd3", "flux")
LATENTS = 8


class Shelf:
    """Pipelines by kind, written when first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, kind: str, *, exact: int = 0) -> Path:
        from afi_verify.stable_diffusion.examples import write_example

        place = self.folder / f"{kind}-{exact}"
        if not place.exists():
            write_example(place, kind=kind, exact=exact, size=8, seed=1)
        return place


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """Folders of pipelines, ``shelf("sd15")`` or ``shelf("sd15", exact=8)``."""
    return Shelf(tmp_path_factory.mktemp("pipelines"))
