"""Probe readings inside a network (``layers.safetensors``) as a long table.

A row is one number of eight bytes: its moment (step, epoch) and what it is (layer, place, quantity,
unit) are kept once each.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bninit.store.tensors import decode_tensors, encode_tensors

if TYPE_CHECKING:
    import pandas as pd

    from bninit.training.records import LayerRows, RowKey
    from bninit.training.settings import ProbeSettings

COLUMNS = ("step", "epoch", "layer", "place", "quantity", "unit", "value")
"""The columns of the table; see `bninit.Run.layers`."""

_KEY = ("layer", "place", "quantity", "unit")


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """One quantity at one place, over time and layers.

    Attributes:
        layers: As in `COLUMNS`, ascending, (layer,).
        steps: Finished steps at each moment at which it was read, (moment,).
        epochs: Finished epochs, (moment,).
        values: (moment, layer), NaN where there is none.
    """

    layers: npt.NDArray[np.integer]
    steps: npt.NDArray[np.integer]
    epochs: npt.NDArray[np.integer]
    values: npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredLayers:
    """The content of the file.

    Attributes:
        probes: The config's section of probes that were taken, resolved.
        step: Of each moment, (moment,).
        epoch: Of each moment, (moment,).
        size: Rows of each moment, (moment,).
        key: What each row is, as an index into ``keys``, (row,).
        value: Each row's number, (row,), float32.
        keys: Layer, place, quantity and unit.
    """

    probes: dict[str, Any]
    step: npt.NDArray[np.integer]
    epoch: npt.NDArray[np.integer]
    size: npt.NDArray[np.integer]
    key: npt.NDArray[np.integer]
    value: npt.NDArray[np.float32]
    keys: tuple[RowKey, ...]

    def trace(self, place: str, quantity: str, *, unit: int = -1) -> Trace:
        """Follow one quantity.

        Args:
            place: As in `COLUMNS`.
            quantity: Its name.
            unit: -1 for all units together.

        Returns:
            All layers that have it; no layers where it was not read.
        """
        codes = {
            key[0]: code for code, key in enumerate(self.keys) if key[1:] == (place, quantity, unit)
        }
        layers = sorted(codes)
        moment = np.repeat(np.arange(self.size.size), self.size)
        found = np.full((self.size.size, len(layers)), np.nan)
        was_read = np.zeros(self.size.size, dtype=bool)
        for column, layer in enumerate(layers):
            rows = np.flatnonzero(self.key == codes[layer])
            found[moment[rows], column] = self.value[rows]
            was_read[moment[rows]] = True
        return Trace(
            layers=np.array(layers, dtype=np.int64),
            steps=self.step[was_read],
            epochs=self.epoch[was_read],
            values=found[was_read],
        )

    def table(self) -> pd.DataFrame:
        """One row per number, with the columns `COLUMNS`."""
        import pandas as pd

        columns: dict[str, Any] = {
            "step": np.repeat(self.step.astype(np.int64), self.size),
            "epoch": np.repeat(self.epoch.astype(np.int64), self.size),
        }
        for index, name in enumerate(_KEY):
            dtype = np.int64 if name in ("layer", "unit") else object
            columns[name] = np.array([key[index] for key in self.keys], dtype=dtype)[self.key]
        columns["value"] = self.value.astype(np.float64)
        return pd.DataFrame(columns).astype({"place": "str", "quantity": "str"})


def are_enough(taken: dict[str, Any] | None, requested: ProbeSettings) -> bool:
    """Tell whether probes that were taken (None for no probes) include all that are requested."""
    if not requested.enabled:
        return True
    if taken is None:
        return False
    mine, wanted = {**taken}, section_of(requested)
    groups = set(mine.pop("groups", ()))
    return set(wanted.pop("groups")) <= groups and mine == wanted


def section_of(probes: ProbeSettings) -> dict[str, Any]:
    """The config's section as plain values."""
    from bninit.config import leaf_values

    return leaf_values(probes)


def encode_layers(rows: LayerRows, *, probes: ProbeSettings, arm: str, seed: int) -> bytes:
    """Format all readings of a run, in the order of time, and the probes that took them."""
    begins = np.flatnonzero(np.diff(rows.step, prepend=-1))
    places = list(dict.fromkeys(place for _, place, _, _ in rows.keys))
    quantities = list(dict.fromkeys(quantity for _, _, quantity, _ in rows.keys))
    keys = [
        (layer, places.index(place), quantities.index(quantity), unit)
        for layer, place, quantity, unit in rows.keys
    ]
    codes = np.array(keys, dtype=np.int32).reshape(-1, len(_KEY))
    arrays: dict[str, Any] = {
        "step": rows.step[begins].astype(np.int64),
        "epoch": rows.epoch[begins].astype(np.int32),
        "size": np.diff(begins, append=rows.step.size).astype(np.int32),
        "key": rows.key.astype(np.int32),
        "value": rows.value.astype(np.float32),
        **{f"key_{name}": codes[:, index].copy() for index, name in enumerate(_KEY)},
    }
    metadata = {
        "arm": arm,
        "seed": str(seed),
        "probes": json.dumps(section_of(probes), sort_keys=True),
        "places": json.dumps(places),
        "quantities": json.dumps(quantities),
    }
    return encode_tensors(arrays, metadata=metadata)


def decode_layers(data: bytes) -> StoredLayers:
    """Parse the file."""
    arrays, metadata = decode_tensors(data)
    try:
        places, quantities = json.loads(metadata["places"]), json.loads(metadata["quantities"])
        codes = zip(*(arrays[f"key_{name}"] for name in _KEY), strict=True)
        found = StoredLayers(
            probes=dict(json.loads(metadata["probes"])),
            keys=tuple(
                (int(layer), str(places[place]), str(quantities[quantity]), int(unit))
                for layer, place, quantity, unit in codes
            ),
            **{name: arrays[name] for name in ("step", "epoch", "size", "key", "value")},
        )
        is_whole = (
            found.step.shape == found.epoch.shape == found.size.shape
            and found.key.shape == found.value.shape == (int(found.size.sum()),)
            and (found.key.size == 0 or 0 <= found.key.min() <= found.key.max() < len(found.keys))
        )
    except (KeyError, ValueError, TypeError, IndexError, RecursionError):
        is_whole = False
    if not is_whole:
        raise ValueError("these safetensors are not a table of layers")
    return found
