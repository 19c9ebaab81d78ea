"""What can be refused before torch and diffusers are imported: missing, pickled or broken files, a hub out of reach.

Reads names, JSON and the headers of safetensors files; loads no weight and runs nothing that a folder names.
"""

import json
import math
import os
import re
import socket
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from afi_verify.errors import UnusableError

FAMILIES = {
    "StableDiffusionPipeline": "unet",
    "StableDiffusionXLPipeline": "unet",
    "StableDiffusion3Pipeline": "transformer",
    "FluxPipeline": "transformer",
}
"""The pipelines that are known here, and which of their components predicts."""

LIBRARIES = ("diffusers", "transformers", "afi_verify.stable_diffusion")
"""Where the classes of components may come from: importing any other module would run what the folder names."""

UNUSED = ("safety_checker", "feature_extractor", "image_encoder")
"""Components that no check needs, and that are not loaded."""

PICKLED = (".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle")


@dataclass(frozen=True)
class Found:
    """A folder that can be loaded."""

    folder: Path
    family: str  # the name of the pipeline's class
    parameters: int  # numbers in the weights that will be loaded
    components: tuple[str, ...]  # those to load; others are left out
    variant: str | None


def find(model: str, variant: str | None = None, revision: str | None = None) -> Found | None:
    """Look at ``model``, a folder or a hub id, and return what is there.

    Returns
    -------
    Found or None
        None for a hub id that is not on this machine, while the hub can be reached: it is to be downloaded.

    Raises
    ------
    UnusableError
        If something is missing, wrong, pickled or out of reach; the message says what to do.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        return examine(path, variant)
    if path.is_file():
        raise UnusableError(
            f"{model} is a file; give a folder in the layout of diffusers (model_index.json and one folder per "
            "component). A single-file checkpoint is converted with diffusers' from_single_file and save_pretrained."
        )
    if not _is_hub_id(model):
        raise UnusableError(f"There is no folder {model}, and it is no hub id (owner/name) either.")
    cached = _cached(model, revision)
    if cached is not None:
        return examine(cached, variant)
    why = _why_no_hub()
    if why is not None:
        raise UnusableError(
            f"There is no folder {model}; as a hub id it is not in this machine's cache, and the hub cannot be "
            f"reached ({why}). Download it where there is access (hf download {model}) and give the folder."
        )
    return None


def examine(folder: Path, variant: str | None = None) -> Found:
    """Check the files of a folder in the layout of diffusers.

    Raises
    ------
    UnusableError
        As :func:`find`.
    """
    index = _read_json(folder / "model_index.json", "a pipeline's folder has one; this is not the folder of a pipeline")
    family = str(index.get("_class_name"))
    if family not in FAMILIES:
        raise UnusableError(
            f"{folder / 'model_index.json'}: pipelines of class {family} are not known here; known are "
            f"{', '.join(FAMILIES)}."
        )
    components = {name: entry for name, entry in index.items() if isinstance(entry, list) and len(entry) == 2}
    if FAMILIES[family] not in components:
        raise UnusableError(f"{folder / 'model_index.json'} names no {FAMILIES[family]}, the network of a {family}.")
    present = {name: entry for name, entry in components.items() if None not in entry and name not in UNUSED}
    parameters = 0
    for name, (library, kind) in present.items():
        if library not in LIBRARIES:
            raise UnusableError(
                f"{folder / 'model_index.json'}: component {name} comes from the module {library!r}. Only "
                f"{', '.join(LIBRARIES)} are loaded; code that comes with a model is not run."
            )
        place = folder / name
        if not place.is_dir():
            raise UnusableError(f"{place} is missing: model_index.json names the component {name} ({kind}).")
        if (place / f"{library}.py").exists():
            raise UnusableError(f"{place / f'{library}.py'}: code that comes with a model is not run.")
        parameters += examine_weights(place, kind, variant)
    return Found(folder, family, parameters, tuple(present), variant)


def examine_weights(place: Path, kind: str = "", variant: str | None = None) -> int:
    """Return how many numbers the component's weights hold; 0 for one without weights (tokenizer, scheduler)."""
    if "Tokenizer" in kind or "Scheduler" in kind or "Processor" in kind:
        return 0
    _read_json(place / "config.json", "every network has one")
    files = sorted(entry for entry in place.iterdir() if entry.suffix == ".safetensors")
    if not files:
        pickled = sorted(entry.name for entry in place.iterdir() if entry.suffix in PICKLED)
        if pickled:
            raise UnusableError(
                f"{place}: the weights are pickled ({', '.join(pickled)}), and unpickling runs whatever code is in "
                "them. Only safetensors are loaded: get the safetensors of this model, or convert them where you "
                "trust them (load with diffusers, save_pretrained(safe_serialization=True))."
            )
        raise UnusableError(f"{place}: no *.safetensors; the download may be incomplete.")
    wanted = [file for file in files if _variant_of(file) == variant]
    if not wanted:
        present = sorted({_variant_of(file) or "none" for file in files})
        # Diffusers takes the plain weights of a component that has none of the variant, and so do we.
        plain = [file for file in files if _variant_of(file) is None]
        if variant is None or not plain or place.name in FAMILIES.values():
            asked = f"variant {variant!r}" if variant else "no variant"
            raise UnusableError(
                f"{place}: {asked} was asked for; there are only weights of variant {', '.join(present)}. "
                + (f"Say --variant {present[0]}." if present[0] != "none" else "Leave --variant out.")
            )
        wanted = plain
    _check_shards(place, wanted)
    return sum(_count(file) for file in wanted)


def _variant_of(file: Path) -> str | None:
    """``model.fp16.safetensors`` and ``model.fp16-00001-of-00002.safetensors`` are of variant ``fp16``."""
    parts = file.name.removesuffix(".safetensors").split(".")
    return parts[1].split("-")[0] if len(parts) > 1 else None


def _check_shards(place: Path, wanted: list[Path]) -> None:
    names = {file.name for file in wanted}
    for index in place.glob("*.safetensors.index*.json"):
        shards = set(_read_json(index, "an index of shards").get("weight_map", {}).values())
        if shards & names and shards - names:
            raise UnusableError(f"{place}: missing {', '.join(sorted(shards - names))}; the download is incomplete.")


def _count(file: Path) -> int:
    header = read_header(file)
    return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")


def read_header(file: Path) -> dict[str, Any]:
    """Return the header of a safetensors file, after checking that the file is whole.

    Raises
    ------
    UnusableError
        If it is not a safetensors file, or was cut off.
    """
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 0 < length <= min(2**27, file.stat().st_size):
                raise ValueError("no header")
            header: dict[str, Any] = json.loads(stream.read(length))
        end = max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise UnusableError(
            f"{file} is not a readable safetensors file ({error}). A few hundred bytes that begin with "
            "'version https://git-lfs' are a pointer: fetch the file itself (git lfs pull)."
        ) from None
    if file.stat().st_size < 8 + length + end:
        raise UnusableError(f"{file} was cut off: {file.stat().st_size} of {8 + length + end} bytes.")
    return header


def _read_json(file: Path, what: str) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnusableError(f"{file} is missing: {what}.") from None
    except (OSError, ValueError) as error:
        raise UnusableError(f"{file} cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise UnusableError(f"{file} holds no JSON object.")
    return content


def _is_hub_id(model: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", model) is not None


def _cached(model: str, revision: str | None) -> Path | None:
    """Return the snapshot in the hub's cache, found without importing the hub's library, which takes a second."""
    home = Path(os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface"))
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    repository = cache / f"models--{model.replace('/', '--')}"
    name = revision or "main"
    reference = repository / "refs" / name
    commit = reference.read_text().strip() if reference.is_file() else name
    snapshot = repository / "snapshots" / commit
    return snapshot if (snapshot / "model_index.json").is_file() else None


def _why_no_hub(seconds: float = 0.5) -> str | None:
    """Return why the hub cannot be reached, None if it can."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "TRUE", "ON", "YES"}:
        return "HF_HUB_OFFLINE is set"
    endpoint = urllib.parse.urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    proxy = urllib.request.getproxies().get(endpoint.scheme)
    target = urllib.parse.urlsplit(proxy) if proxy else endpoint
    port = target.port or (80 if target.scheme == "http" else 443)
    return _connect(str(target.hostname), port, seconds)


def _connect(host: str, port: int, seconds: float) -> str | None:
    # Looking up a name has no time limit of its own: it may wait in a thread that nobody waits for.
    import threading

    said: list[str | None] = []

    def attempt() -> None:
        try:
            socket.create_connection((host, port), timeout=seconds).close()
            said.append(None)
        except OSError as error:
            said.append(str(error))

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    return said[0] if said else f"no answer from {host} within {seconds:g} s"
