"""Small pictures in a study's plots."""

from __future__ import annotations

import base64
import io
from typing import Any

import torch
from torch import Tensor

from afi_verify.report.study import Axis, Gallery, Plot, series_of


def thumbnail(image: Tensor, side: int = 96) -> str:
    """Return an image (3, H, W) in [-1, 1] as the data URL of a PNG of at most ``side`` pixels."""
    from PIL import Image

    pixels = ((image.detach().float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0)
    picture = Image.fromarray(pixels.cpu().numpy())
    picture.thumbnail((side, side))
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def gallery(caption: str, pictures: list[tuple[str, str]]) -> Gallery:
    """Return a row of pictures, each a title and a data URL."""
    return Gallery(caption, tuple(pictures))


def points(caption: str, values: list[dict[str, Any]], x: str, y: str, colour: str | None = None) -> Plot:
    """Return points of two columns, by colour of a third."""
    title_x, title_y = (name.replace("_", " ") for name in (x, y))
    # A column of its own: one called like y, as "loss" is, must not take its place.
    names = [title_y if colour is None else f"{colour.replace('_', ' ')} {row[colour]}" for row in values]
    rows = [{x: row[x], y: row[y], "": name} for row, name in zip(values, names, strict=True)]
    return Plot(caption, Axis(title_x), Axis(title_y), series_of(rows, x, y, "", line=False))
