"""What is in a chart: its layers, taken out of the specification."""

from __future__ import annotations

import struct
from typing import Any

Chart = dict[str, Any]


def panels(chart: Chart) -> list[Chart]:
    """All panels of a chart, in order."""
    parts = chart.get("vconcat") or chart.get("hconcat") or chart.get("concat")
    return [chart] if parts is None else [panel for part in parts for panel in panels(part)]


def panel(chart: Chart, title: str) -> Chart:
    """The panel with a title, its lines joined."""
    (found,) = [one for one in panels(chart) if " ".join(one.get("title", [])) == title]
    return found


def layers(chart: Chart, mark: str, **settings: Any) -> list[Chart]:
    """The layers of a panel with this mark and these settings."""
    wanted = {"type": mark, **settings}.items()
    return [layer for layer in chart["layer"] if wanted <= layer["mark"].items()]


def rows(layer: Chart, **values: Any) -> list[dict[str, Any]]:
    """The rows of a layer with these values."""
    return [row for row in layer["data"]["values"] if values.items() <= row.items()]


def look(layer: Chart, channel: str, arm: str) -> Any:
    """What a layer draws an arm with."""
    scale = layer["encoding"][channel]["scale"]
    return dict(zip(scale["domain"], map(str, scale["range"]), strict=True))[arm]


def png_size(content: bytes) -> tuple[int, int]:
    """Width and height of a PNG file."""
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    return width, height
