"""One copy of the three packages, however they are installed and however pytest is started."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import afi_properties
import afi_reference
import afi_verify

ROOT = Path(__file__).parent.parent


def _location(package: object) -> Path:
    return Path(package.__file__).resolve().parent


def test_all_three_packages_come_from_one_copy() -> None:
    in_checkout = {ROOT in _location(package).parents for package in (afi_verify, afi_properties, afi_reference)}
    assert len(in_checkout) == 1, "a regular install is shadowed in part by the checkout"


def test_version_is_the_installed_one() -> None:
    assert afi_verify.__version__ == importlib.metadata.version("afi-verify")


def test_type_checkers_see_inline_types() -> None:
    for package in (afi_verify, afi_properties, afi_reference):
        assert (_location(package) / "py.typed").is_file()


def test_nothing_generic_lands_in_site_packages() -> None:
    files = importlib.metadata.files("afi-verify") or []
    top_level = {Path(str(file)).parts[0] for file in files}
    assert not top_level & {"reference", "properties", "tests", "examples", "reports"}


def _loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_oracles_loads_nothing_heavy() -> None:
    assert not _loaded_by("import afi_reference") & {"torch", "sympy", "hypothesis", "jax", "sklearn", "flint"}


def test_importing_afi_verify_loads_no_torch_and_no_hypothesis() -> None:
    assert not _loaded_by("import afi_verify") & {"torch", "jax", "sympy", "diffusers"}
