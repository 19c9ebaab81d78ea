"""Right implementations, by what is unusual about them; a module whose array library is missing is left out."""

import importlib
import importlib.util
from pathlib import Path

from tests.zoo.innocent import INACCURATE, INNOCENTS

__all__ = ["INACCURATE", "INNOCENTS"]

for _path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
    if _path.stem != "by_jax" or importlib.util.find_spec("jax") is not None:
        importlib.import_module(f"{__name__}.{_path.stem}")
