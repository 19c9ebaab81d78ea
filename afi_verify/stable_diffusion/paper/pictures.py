"""Small pictures in a study's plots."""

from __future__ import annotations

import base64
import io
from typing import Any

import torch
from torch import Tensor

from afi_verify.report.study import Plot


def thumbnail(image: Tensor, side: int = 96) -> str:
    """Return an image (3, H, W) in [-1, 1] as the data URL of a PNG of at most ``side`` pixels."""
    from PIL import Image

    pixels = ((image.detach().float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0)
    picture = Image.fromarray(pixels.cpu().numpy())
    picture.thumbnail((side, side))
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def gallery(caption: str, pictures: list[tuple[str, str]]) -> Plot:
    """Return a row of pictures, each a title and a data URL."""
    values = [{"title": title, "url": url} for title, url in pictures]
    specification: dict[str, Any] = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "data": {"values": values},
        "width": {"step": 104},
        "height": 104,
        "mark": {"type": "image", "width": 96, "height": 96},
        "encoding": {
            "x": {"field": "title", "type": "nominal", "sort": None, "title": None},
            "url": {"field": "url", "type": "nominal"},
        },
    }
    return Plot(caption, specification)


def points(caption: str, values: list[dict[str, Any]], x: str, y: str, colour: str | None = None) -> Plot:
    """Return points of two columns, by colour of a third."""
    encoding: dict[str, Any] = {
        axis: {"field": name, "type": "quantitative", "scale": {"zero": False}, "title": name.replace("_", " ")}
        for axis, name in (("x", x), ("y", y))
    }
    if colour is not None:
        encoding["color"] = {"field": colour, "type": "nominal", "title": colour.replace("_", " ")}
    return Plot(
        caption,
        {
            "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
            "data": {"values": values},
            "mark": {"type": "point", "filled": True},
            "encoding": encoding,
        },
    )
