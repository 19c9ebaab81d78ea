"""Adapters of the implementations that come with afi-verify: subjects under test like any other."""

import importlib.util
from types import ModuleType

from afi_verify.adapter import Adapter
from afi_verify.implementations import numpy_dirac, numpy_gaussian_mixture

_DIRAC_ROLES = (
    "score",
    "posterior_mean",
    "fisher",
    "fisher_vector_product",
    "fisher_trace",
    "fisher_trace_matching",
    "fisher_vector_product_endpoint",
)
_MIXTURE_ROLES = _DIRAC_ROLES[:5]


def _analytic(name: str, backend: str, dtype: str, dirac: ModuleType, mixture: ModuleType) -> Adapter:
    adapter = Adapter(name, backend=backend, dtype=dtype)
    for role in _DIRAC_ROLES:
        adapter.provides(role, getattr(dirac, role))
    for role in _MIXTURE_ROLES:
        adapter.provides(role, getattr(mixture, role))
    return adapter


def _autodiff(dtype: str, autodiff: ModuleType) -> Adapter:
    adapter = Adapter("torch-autodiff", backend="torch", dtype=dtype)
    for role in ("fisher_vector_product_vjp", "fisher_vector_product_jvp", "fisher_trace_autodiff"):
        adapter.provides(role, getattr(autodiff, role))
    return adapter


def _adapters() -> list[Adapter]:
    adapters = [
        _analytic("numpy", "numpy", dtype, numpy_dirac, numpy_gaussian_mixture) for dtype in ("float64", "float32")
    ]
    if importlib.util.find_spec("torch") is not None:
        from afi_verify.implementations import torch_autodiff, torch_dirac, torch_gaussian_mixture

        dtypes = ("float64", "float32")
        adapters += [_analytic("torch", "torch", dtype, torch_dirac, torch_gaussian_mixture) for dtype in dtypes]
        adapters += [_autodiff(dtype, torch_autodiff) for dtype in dtypes]
    for adapter in adapters:
        adapter.source = __name__
    return adapters


ADAPTERS: list[Adapter] = _adapters()
"""Those whose array library is installed, in float64 and float32."""
