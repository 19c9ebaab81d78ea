"""An interpreter that has imported what takes long, and runs each script in a child of its own.

A child is as new as a process that has just imported those modules, and costs milliseconds where importing torch alone
costs seconds. Where there is no ``os.fork`` each script gets a process of its own.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_SERVER = """
import importlib.util, json, os, runpy, signal, sys
for name in json.loads(sys.argv[1]):
    if importlib.util.find_spec(name) is not None:
        __import__(name)
for line in sys.stdin:
    arguments, output, errors = json.loads(line)
    child = os.fork()
    if child == 0:
        for stream, path in ((0, os.devnull), (1, output), (2, errors)):
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), stream)
        signal.alarm(120)
        sys.argv, sys.path[0] = arguments, os.path.dirname(arguments[0])
        runpy.run_path(arguments[0], run_name="__main__")
        sys.exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Interpreter:
    """Python in ``folder``, with these environment variables and modules; a context manager."""

    def __init__(self, folder: Path, environment: Mapping[str, str], modules: Sequence[str]) -> None:
        self.folder, self.environment, self.modules = folder, dict(environment), list(modules)

    def __enter__(self) -> "Interpreter":
        self._files = tempfile.TemporaryDirectory()
        self._server = None
        if hasattr(os, "fork"):
            command = [sys.executable, "-c", _SERVER, json.dumps(self.modules)]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            self._server = subprocess.Popen(command, cwd=self.folder, env=self.environment, **pipes)
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.communicate()
        self._files.cleanup()

    def run(self, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run ``python *arguments``, the path of a script first."""
        words = [str(argument) for argument in arguments]
        if self._server is None:
            command = [sys.executable, *words]
            return subprocess.run(
                command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
            )
        paths = [Path(self._files.name, name) for name in ("output", "errors")]
        for path in paths:
            path.write_bytes(b"")
        self._server.stdin.write(json.dumps([words, *map(str, paths)]) + "\n")
        self._server.stdin.flush()
        status = int(self._server.stdout.readline())
        return subprocess.CompletedProcess(words, status, *(path.read_text("utf-8") for path in paths))
