"""Is your code for the Fisher information of diffusion models right, and how accurate is it: verify an adapter."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from afi_verify.adapter import Adapter
    from afi_verify.errors import UnusableError
    from afi_verify.pytest_plugin import parametrize_with_checks
    from afi_verify.runner import Report, verify

__version__ = "0.1.0"

__all__ = ["Adapter", "Report", "UnusableError", "parametrize_with_checks", "verify"]

_HOMES = {
    "Adapter": "afi_verify.adapter",
    "Report": "afi_verify.runner",
    "UnusableError": "afi_verify.errors",
    "parametrize_with_checks": "afi_verify.pytest_plugin",
    "verify": "afi_verify.runner",
}


def __getattr__(name: str) -> Any:
    # Imported when asked for: every pytest in this environment loads our plugin, and most have no use for the rest.
    if name not in _HOMES:
        raise AttributeError(f"module 'afi_verify' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
