"""All pictures of what probes found inside runs, by file name."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from bninit.analysis.inside_tables import MAPS
from bninit.analysis.insides import Insides
from bninit.views.inside_lines import drifts_figure, gaps_figure, modes_figure, units_figure
from bninit.views.inside_maps import map_figure
from bninit.views.inside_ridges import ridges_figure
from bninit.views.palette import picture_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES: dict[str, Callable[[Insides], Figure | None]] = {
    "distributions": ridges_figure,
    "units": units_figure,
    **{name: partial(map_figure, name=name) for name in MAPS},
    "modes": modes_figure,
    "statistics": gaps_figure,
    "gamma_beta": drifts_figure,
}
"""Each draws one picture, or nothing where there is nothing to draw."""


def pictures(found: Insides) -> dict[str, bytes]:
    """Draw all that there is to draw.

    Returns:
        The content of PNG files by their names.
    """
    drawn: dict[str, bytes] = {}
    with picture_style():
        for name, draw in PICTURES.items():
            figure = draw(found)
            if figure is not None:
                buffer = io.BytesIO()
                figure.savefig(buffer, format="png")
                drawn[f"{name}.png"] = buffer.getvalue()
    return drawn
