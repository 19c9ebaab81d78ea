"""A package outside this repository, with a tox.ini and tests of its own, is verified with the built wheel by tox."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

pytest.importorskip("tox", reason="needs tox (the extra `test`)")

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="needs the sources, to build the wheel")


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheelhouse(tmp_path_factory):
    """A folder with the wheel of this repository, as pip builds it."""
    folder = tmp_path_factory.mktemp("wheelhouse")
    # With the build backend that is installed (the extra `test`): nothing is downloaded.
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(folder)]
    status, output = run(sys.executable, "-m", "pip", "wheel", str(ROOT), *options)
    assert status == 0, output
    (wheel,) = folder.glob("*.whl")
    assert wheel.name.startswith("afi_verify-")
    return folder


@pytest.fixture(scope="module")
def borrowed(tmp_path_factory):
    """A folder with everything that is installed here but afi-verify, so that nothing has to be installed again."""
    folder = tmp_path_factory.mktemp("borrowed")
    for distribution in importlib.metadata.distributions():
        home = Path(str(distribution.locate_file("")))
        if distribution.metadata["Name"] == "afi-verify" or home.resolve() == ROOT:
            continue
        for entry in home.iterdir():
            ours = entry.name.startswith(("afi_", "__editable__"))
            if not ours and entry.suffix != ".pth" and not (folder / entry.name).exists():
                (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture
def package(tmp_path, wheelhouse, borrowed):
    """A copy of the package, away from this repository, and the environment in which its tox runs."""
    copy = tmp_path / "dotscore"
    shutil.copytree(ROOT / "tests" / "third_party", copy, ignore=shutil.ignore_patterns("__pycache__", ".tox"))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHON", "TOX"))}
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheelhouse), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    inherited.pop("PIP_CONSTRAINT", None)
    lent = f"set_env=PYTHONPATH={borrowed}"
    # pip as tox calls it, but for -I, with which it would not see what is lent.
    install = "install_command=python -m pip install {opts} {packages}"
    overrides = [f"--override={env}.{option}" for env in ("testenv", "pkgenv") for option in (lent, install)]

    def tox(*arguments):
        command = [sys.executable, "-m", "tox", "run", "-q", *overrides, *arguments]
        return run(*command, cwd=copy, env=inherited | pip)

    return copy, tox


def test_a_package_outside_is_verified_by_its_tox(package):
    copy, tox = package
    status, output = tox()
    assert status == 0, output
    temporary = copy / ".tox" / "tests" / "tmp"
    results = json.loads((temporary / "afi" / "results.json").read_text())
    assert results["profile"] == "quick"
    assert {verdict: n for verdict, n in results["sum"].items() if n} == {"planned": 6, "pass": 4, "not provided": 2}
    cases = ElementTree.parse(temporary / "junit.xml").findall(".//testcase")
    assert cases[0].get("name") == "test_afi[dotscore/fisher_trace/prop-5/float64/dirac]"
    installed = next((copy / ".tox" / "tests").rglob("site-packages/afi_verify/__init__.py"))
    assert not installed.is_symlink(), "the wheel was not installed"

    # The same, with a mistake in the package.
    source = copy / "src" / "dotscore" / "__init__.py"
    source.write_text(source.read_text().replace("signal**2 / noise**4", "signal / noise**4"))
    status, output = tox("--", "-k", "float64 and fisher_trace")
    assert status == 1, output
    assert "fail: dotscore/float64/fisher_trace/prop-5/dirac" in output
    assert "again: afi-verify replay tests/test_afi.py dotscore/float64/fisher_trace/prop-5/dirac a_dirac_" in output
