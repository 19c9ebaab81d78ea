"""Finding the adapters in a file that somebody wrote."""

import importlib.util
import signal
import sys
import zlib
from pathlib import Path

from afi_verify.adapter import Adapter
from afi_verify.capture import first_line, name_of
from afi_verify.errors import UnusableError

MODULES = "afi_verify_adapter_"
"""What the names of modules begin with that adapters are loaded as."""


def load_adapters(path: str) -> list[Adapter]:
    """Return every :class:`Adapter` in the Python file at ``path``, lists of them included.

    Raises
    ------
    UnusableError
        If there is no such file, it cannot be imported, or it holds no adapter.
    """
    file = Path(path)
    if not file.is_file():
        raise UnusableError(f"{path}: there is no such file. Give the path of a Python file that makes an Adapter.")
    if file.suffix != ".py":
        raise UnusableError(f"{path} is not a Python file (.py).")
    name = f"{MODULES}{zlib.crc32(str(file.resolve()).encode())}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles in the file look themselves up there
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)  # its neighbours, as if Python ran it; functions may import them later, too
    try:
        spec.loader.exec_module(module)
    except UnusableError as error:
        raise UnusableError(f"{path}: {error}") from None
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            raise  # the user's
        raise UnusableError(
            f"{path} cannot be imported: {name_of(type(error))}: {first_line(error)}{_line_of(error, file)}. "
            "Run it with python to see all of it."
        ) from error
    adapters: dict[Adapter, str] = {}
    for name, value in vars(module).items():
        for item in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(item, Adapter):
                adapters.setdefault(item, name)
    if not adapters:
        raise UnusableError(
            f"{path} holds no adapter. Add one: afi = afi_verify.Adapter('my-afi'), and "
            "@afi.provides('fisher_trace') above a function."
        )
    for adapter, variable in adapters.items():
        adapter.source = path
        if not adapter.functions:
            raise UnusableError(
                f"{path}: the adapter {adapter.name!r} provides nothing. Put @{variable}"
                ".provides('fisher_trace') above a function; `afi-verify list` shows the roles."
            )
    return list(adapters)


def _line_of(error: BaseException, file: Path) -> str:
    traceback, line = error.__traceback__, None
    while traceback is not None:
        if Path(traceback.tb_frame.f_code.co_filename).absolute() == file.absolute():
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return f" (line {line})" if line is not None else ""
