"""Every block of code in the docs and in the README runs as it stands.

Blocks of one page run in order in one folder, which holds ``mycode.py`` and the repository's examples, those in Python
in one session. A Python block whose first line is a comment with a file's name is written to that file, too. A line of
a shell block has to exit with 0, or with what a comment on it says (``# exits with 1``). A block that is not run says
why in a comment above it.
"""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"(?:<!-- (?P<remark>[^>]*?) -->\n)?^```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^```$", re.M | re.S)
ELSEWHERE = {"run", "tests", "strategies"}
"""Remarks in the README by which CI itself, or another test, finds a block and runs it."""

NEEDS = {"stable-diffusion.md": "diffusers"}
"""Pages about an optional package."""


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of code of a page."""

    language: str
    code: str
    skipped: str  # why it is not run; empty if it is


def blocks_of(page: Path) -> list[Block]:
    blocks = []
    for match in BLOCK.finditer(page.read_text("utf-8")):
        remark = match["remark"] or ""
        reason = remark.partition("not run:")[2].strip() or (remark if remark in ELSEWHERE else "")
        blocks.append(Block(match["language"], match["code"], reason))
    return blocks


def runs(page: Path) -> list[Block]:
    return [b for b in blocks_of(page) if b.language in ("python", "bash") and not b.skipped]


def environment_of(folder: Path) -> dict[str, str]:
    scripts = str(Path(sys.executable).parent)
    paths = [str(folder), *(p for p in sys.path if p)]
    return os.environ | {"PATH": scripts + os.pathsep + os.environ["PATH"], "PYTHONPATH": os.pathsep.join(paths)}


def run_shell(line: str, folder: Path) -> None:
    expected = int((re.search(r"# exits with (\d+)", line) or [0, "0"])[1])
    done = subprocess.run(line, shell=True, cwd=folder, env=environment_of(folder), capture_output=True, text=True)
    assert done.returncode == expected, f"{line}\n{done.stdout}\n{done.stderr}"


class Session:
    """Python in a folder, as a reader has it open: later blocks may use the names of earlier ones."""

    _LOOP = """if True:
        import json as _json, os as _os, sys as _sys
        _answers = _os.fdopen(_os.dup(1), "w")
        _os.dup2(2, 1)
        for _block in _sys.stdin:
            exec(_json.loads(_block), globals())
            print(file=_answers, flush=True)
    """

    def __init__(self, folder: Path) -> None:
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long as the session
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._output, "text": True}
        command = [sys.executable, "-W", "ignore", "-c", self._LOOP]
        self._process = subprocess.Popen(command, cwd=folder, env=environment_of(folder), **pipes)

    def run(self, code: str) -> None:
        """Run a block; an exception in it ends the session."""
        self._process.stdin.write(json.dumps(code) + "\n")
        self._process.stdin.flush()
        if not self._process.stdout.readline():
            self._output.seek(0)
            raise AssertionError(f"{code}\n{self._output.read()}")

    def close(self) -> None:
        """End the process; it must end well."""
        self._process.communicate()
        self._output.close()
        assert self._process.returncode == 0


@pytest.mark.parametrize("page", [p for p in PAGES if runs(p)], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_block_runs(page, tmp_path):
    if page.name in NEEDS:
        pytest.importorskip(NEEDS[page.name], reason="an extra that this page is about is not installed")
    shutil.copy(Path(__file__).with_name("mycode.py"), tmp_path)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    session = None
    for block in runs(page):
        name = re.match(r"# ([\w/]+\.py)\n", block.code)
        if block.language == "bash":
            for line in block.code.replace("\\\n", " ").splitlines():
                if line.strip() and not line.startswith("#"):
                    run_shell(line, tmp_path)
            continue
        if name:
            (tmp_path / name[1]).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name[1]).write_text(block.code, "utf-8")
        if not (name and name[1].startswith("tests/")):
            session = session or Session(tmp_path)
            session.run(block.code)
    if session is not None:
        session.close()


def test_what_is_not_run_says_why():
    for page in PAGES:
        for block in blocks_of(page):
            if block.skipped and block.skipped not in ELSEWHERE:
                assert len(block.skipped.split()) > 3, f"{page.name}: {block.skipped!r} is no reason"


def test_a_page_that_is_wrong_is_noticed(tmp_path):
    session = Session(tmp_path)
    session.run("one = 1")
    session.run("assert one == 1")
    with pytest.raises(AssertionError, match=r"(?s)one / 0.*ZeroDivisionError"):
        session.run("one / 0")
    with pytest.raises(AssertionError):
        session.close()
    with pytest.raises(AssertionError):
        run_shell("exit 3", tmp_path)
    with pytest.raises(AssertionError):
        run_shell("exit 0  # exits with 1", tmp_path)
