"""Adapters of the implementations that come with afi-verify: subjects under test like any other."""

import importlib.util
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from afi_verify.adapter import Adapter
from afi_verify.implementations import (
    numpy_dirac,
    numpy_gaussian_mixture,
    numpy_mixture_transport,
    numpy_transport,
)

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
    adapter.provides("fisher_trace_stochastic", autodiff.fisher_trace_hutchinson)
    return adapter


def _with_trajectories(adapter: Adapter, trajectories: ModuleType, *methods: str) -> Adapter:
    for method in methods:
        for role in ("log_likelihood", "adjoint"):
            adapter.provides(role, getattr(trajectories, f"{method}_{role}"))
    return adapter


def _with_transport(adapter: Adapter, transport: ModuleType) -> Adapter:
    for role in ("transport_map", "transport_jacobian", "transport_is_optimal"):
        if hasattr(transport, role):
            adapter.provides(role, getattr(transport, role))
    return adapter


def _matching(dtype: str, trajectories: ModuleType) -> Adapter:
    adapter = Adapter("torch-matching", backend="torch", dtype=dtype)
    adapter.provides("log_likelihood", trajectories.matching_log_likelihood)
    adapter.provides("adjoint", trajectories.adaptive_adjoint)
    return adapter


def _stochastic(dtype: str, stochastic: ModuleType) -> Iterator[Adapter]:
    for name, function in (("gaussian", "fisher_trace_gaussian"), ("hutch++", "fisher_trace_hutch_plus_plus")):
        adapter = Adapter(f"torch-{name}", backend="torch", dtype=dtype)
        adapter.provides("fisher_trace_stochastic", getattr(stochastic, function))
        yield adapter


def _training(dtype: str, training: ModuleType) -> Adapter:
    adapter = Adapter("torch-training", backend="torch", dtype=dtype)

    @adapter.provides("train_trace_head")
    def train(data: Any, weights: Any, schedule: Any, seed: int, num_steps: int) -> Any:
        return training.train_trace_head(data, schedule, seed, weights=weights, num_steps=num_steps)

    return adapter


def _adapters() -> list[Adapter]:
    adapters = []
    for dtype in ("float64", "float32"):
        adapter = _analytic("numpy", "numpy", dtype, numpy_dirac, numpy_gaussian_mixture)
        adapters.append(_with_transport(_with_transport(adapter, numpy_transport), numpy_mixture_transport))
    if importlib.util.find_spec("torch") is not None:
        from afi_verify.implementations import (
            torch_autodiff,
            torch_dirac,
            torch_gaussian_mixture,
            torch_stochastic,
            torch_training,
            torch_trajectories,
            torch_transport,
        )

        dtypes = ("float64", "float32")
        analytic = [_analytic("torch", "torch", dtype, torch_dirac, torch_gaussian_mixture) for dtype in dtypes]
        analytic = [_with_transport(adapter, torch_transport) for adapter in analytic]
        adapters += [_with_trajectories(adapter, torch_trajectories, "exact", "mixture") for adapter in analytic]
        baselines = [_autodiff(dtype, torch_autodiff) for dtype in dtypes]
        adapters += [_with_trajectories(adapter, torch_trajectories, "autodiff") for adapter in baselines]
        adapters += [adapter for dtype in dtypes for adapter in _stochastic(dtype, torch_stochastic)]
        adapters += [_training(dtype, torch_training) for dtype in dtypes]
        adapters += [_matching(dtype, torch_trajectories) for dtype in dtypes]
    for adapter in adapters:
        adapter.source = __name__
    return adapters


ADAPTERS: list[Adapter] = _adapters()
"""Those whose array library is installed, in float64 and float32."""
