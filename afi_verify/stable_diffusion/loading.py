"""Load a pipeline through diffusers: safetensors only, nothing run that a folder names, every refusal a clear error."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afi_verify.errors import UnusableError
from afi_verify.stable_diffusion.preflight import FAMILIES, UNUSED, Found, find

if TYPE_CHECKING:
    import torch

DTYPES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
"""The dtypes that a pipeline can be loaded in, and their bytes."""


def load_pipeline(
    model: str,
    *,
    dtype: str = "float32",
    device: str = "cpu",
    variant: str | None = None,
    revision: str | None = None,
    max_memory: int | None = None,
) -> Any:
    """Load a pipeline of Stable Diffusion 1 or 2, XL, 3, or of Flux.

    Parameters
    ----------
    model
        A folder in the layout of diffusers, or a hub id (``owner/name``). Files already in the hub's cache are used
        without asking the hub.
    dtype
        ``float64``, ``float32``, ``float16`` or ``bfloat16``: of the weights and of the network's arithmetic.
    device
        ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    variant
        Of the weights' files, e.g. ``fp16`` for ``diffusion_pytorch_model.fp16.safetensors``.
    revision
        Of the hub's repository: a branch, a tag or a commit.
    max_memory
        Bytes that the weights may take; what the device has free when omitted.

    Returns
    -------
    DiffusionPipeline
        In evaluation mode, without gradients of the weights, without safety checker, feature extractor and image
        encoder.

    Raises
    ------
    UnusableError
        If files are missing, broken, pickled or of another variant, the hub is out of reach, the device does not
        exist or has too little memory, or a package is not installed.
    """
    if dtype not in DTYPES:
        raise UnusableError(f"dtype {dtype!r} is not known; choose one of: {', '.join(DTYPES)}.")
    found = find(model, variant, revision)
    require_packages()
    if found is None:
        found = _download(model, variant, revision)
    _check_device(device)
    _check_memory(found, DTYPES[dtype], device, max_memory)
    pipeline = _from_folder(found, dtype)
    try:
        with quiet_libraries():
            pipeline.to(device)
    except RuntimeError as error:
        raise UnusableError(f"The pipeline does not go to {device}: {_first_line(error)}") from None
    for component in pipeline.components.values():
        if hasattr(component, "requires_grad_"):
            component.requires_grad_(False).eval()
    if getattr(pipeline, "watermark", None) is not None:
        pipeline.watermark = None  # XL's changes the images
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def network_of(pipeline: Any) -> Any:
    """Return the component that predicts: the U-Net or the transformer."""
    return getattr(pipeline, FAMILIES[type(pipeline).__name__])


def require_packages() -> None:
    """Import diffusers, transformers and accelerate.

    Raises
    ------
    UnusableError
        If one is not installed.
    """
    try:
        with quiet_libraries():
            import accelerate  # noqa: F401
            import diffusers  # noqa: F401
            import transformers  # noqa: F401
    except ImportError as error:
        raise UnusableError(
            f"This needs the package {error.name or error}. Install the extra: pip install 'afi-verify[sd]'."
        ) from None


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep advice and progress bars of the libraries, which are about other uses, from standard error."""
    # The variables are read when the packages are imported, the calls are for packages that are.
    for name in ("TRANSFORMERS_VERBOSITY", "DIFFUSERS_VERBOSITY"):
        os.environ.setdefault(name, "error")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import diffusers.utils.logging
        import transformers.utils.logging

        libraries = (diffusers.utils.logging, transformers.utils.logging)
        levels = [library.get_verbosity() for library in libraries]
        for library in libraries:
            library.set_verbosity_error()
            library.disable_progress_bar()
        try:
            yield
        finally:
            for library, level in zip(libraries, levels, strict=True):
                library.set_verbosity(level)
                library.enable_progress_bar()


def _download(model: str, variant: str | None, revision: str | None) -> Found:
    from diffusers import DiffusionPipeline

    try:
        with quiet_libraries():
            folder = DiffusionPipeline.download(model, variant=variant, revision=revision, use_safetensors=True)
    except Exception as error:  # whatever the hub's library raises, it is about the hub
        raise UnusableError(f"{model} cannot be downloaded: {type(error).__name__}: {_first_line(error)}") from None
    again = find(str(folder), variant)
    assert again is not None
    return again


def _from_folder(found: Found, dtype: str) -> Any:
    import diffusers
    import torch

    kind = getattr(diffusers, found.family)
    # An optional component that the folder lacks must be left out by name: the third text encoder of SD 3, say.
    left_out: dict[str, Any] = {name: None for name in _components_of(kind) if name not in found.components}
    if found.family == "StableDiffusionPipeline":
        left_out["requires_safety_checker"] = False
    try:
        with quiet_libraries():
            return kind.from_pretrained(
                str(found.folder),
                torch_dtype=getattr(torch, dtype),
                variant=found.variant,
                use_safetensors=True,
                local_files_only=True,
                **left_out,
            )
    except Exception as error:  # diffusers, transformers and safetensors raise all kinds
        raise UnusableError(
            f"{found.folder} cannot be loaded as a {found.family}: {type(error).__name__}: {_first_line(error)}"
        ) from None


def _components_of(kind: Any) -> list[str]:
    import inspect

    optional = [*kind._optional_components, *UNUSED, "text_encoder_3", "tokenizer_3"]
    return [name for name in inspect.signature(kind.__init__).parameters if name in optional]


def _check_device(device: str) -> None:
    import torch

    try:
        named = torch.device(device)
        torch.empty(0, device=named)
    except (RuntimeError, AssertionError) as error:
        raise UnusableError(f"The device {device!r} cannot be used: {_first_line(error)}") from None


def _check_memory(found: Found, width: int, device: str, max_memory: int | None) -> None:
    needed = found.parameters * width
    free = free_memory(device)
    limit = min(value for value in (free, max_memory, float("inf")) if value is not None)
    if needed > limit:
        raise UnusableError(
            f"The weights take {needed / 2**30:.1f} GiB ({found.parameters / 1e6:,.0f} million numbers of {width} "
            f"bytes), and there are {limit / 2**30:.1f} GiB on {device}. Choose --dtype float16 or bfloat16, another "
            "--device, or a larger --max-memory if that was the limit."
        )


def free_memory(device: str) -> int | None:
    """Return the bytes that are free on a device, None where that cannot be told."""
    import torch

    named: torch.device = torch.device(device)
    if named.type == "cuda":
        return int(torch.cuda.mem_get_info(named)[0])
    if named.type != "cpu":
        return None
    numbers = []
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        numbers += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
        group = Path("/sys/fs/cgroup")
        most = (group / "memory.max").read_text().strip()
        if most != "max":
            numbers.append(max(0, int(most) - int((group / "memory.current").read_text())))
    except (OSError, ValueError, IndexError):
        pass
    return min(numbers) if numbers else None


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:400]
