"""``layers.safetensors``: what probes found inside a network, as a long table.

A row is one number. Its place in time (step, epoch) is kept once for each moment, and what it is
(layer, place, quantity, unit) once for each such key, so that a row takes eight bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bninit.store.files import damaged
from bninit.store.tensors import Arrays, decode, encode_arrays

if TYPE_CHECKING:
    import pandas as pd

    from bninit.training.records import LayerRows, RowKey
    from bninit.training.settings import ProbeSettings

COLUMNS = ("step", "epoch", "layer", "place", "quantity", "unit", "value")
"""The columns of the table; see `Run.layers`."""

_PROBES = "probes"
_PLACES = "places"
_QUANTITIES = "quantities"


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """One quantity at one place, over time and layers.

    Attributes:
        layers: As in `COLUMNS`, rising, (layer,).
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
    """The file's content, whole.

    Attributes:
        probes: What was probed, as the config's section, resolved.
        step: Of each moment, (moment,).
        epoch: Of each moment, (moment,).
        size: Rows of each moment, (moment,).
        key: What each row is, as a place in ``keys``, (row,).
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

    def answer(self, asked: ProbeSettings) -> bool:
        """Tell whether these probes are all that a config asks for."""
        return are_enough(self.probes, asked)

    def trace(self, place: str, quantity: str, *, unit: int = -1) -> Trace:
        """Follow one quantity.

        Args:
            place: As in `COLUMNS`.
            quantity: Its name.
            unit: -1 for all units together.

        Returns:
            All layers that have it; none where it was not read.
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
        """A row for each number, with the columns `COLUMNS`."""
        import pandas as pd

        columns: dict[str, Any] = {
            "step": np.repeat(self.step.astype(np.int64), self.size),
            "epoch": np.repeat(self.epoch.astype(np.int64), self.size),
        }
        layers, places, quantities, units = (
            zip(*self.keys, strict=True) if self.keys else ((), (), (), ())
        )
        for name, names in (("layer", layers), ("place", places), ("quantity", quantities)):
            columns[name] = _column(names)[self.key]
        columns["unit"] = _column(units)[self.key]
        columns["value"] = self.value.astype(np.float64)
        return pd.DataFrame(columns).astype({"place": "str", "quantity": "str"})


def are_enough(taken: dict[str, Any] | None, asked: ProbeSettings) -> bool:
    """Tell whether probes that were taken are all that a config asks for.

    Args:
        taken: The config's section with which they were taken, resolved; None for no probes.
        asked: The section of the config that asks.
    """
    if not asked.enabled:
        return True
    if taken is None:
        return False
    mine, wanted = {**taken}, asked_for(asked)
    groups = set(mine.pop("groups", ()))
    return set(wanted.pop("groups")) <= groups and mine == wanted


def asked_for(probes: ProbeSettings) -> dict[str, Any]:
    """The section as plain values."""
    from bninit.config import leaf_values

    return leaf_values(probes)


def encode_layers(rows: LayerRows, *, probes: ProbeSettings, arm: str, seed: int) -> bytes:
    """The whole file.

    Args:
        rows: All that probes found, in the order of time.
        probes: With what they were taken.
        arm: Id of the run's arm.
        seed: Of the run.
    """
    begins = np.flatnonzero(np.diff(rows.step, prepend=-1))
    places = list(dict.fromkeys(place for _, place, _, _ in rows.keys))
    quantities = list(dict.fromkeys(quantity for _, _, quantity, _ in rows.keys))
    arrays: Arrays = {
        "step": rows.step[begins].astype(np.int64),
        "epoch": rows.epoch[begins].astype(np.int32),
        "size": np.diff(begins, append=rows.step.size).astype(np.int32),
        "key": rows.key.astype(np.int32),
        "value": rows.value.astype(np.float32),
        "key_layer": np.array([key[0] for key in rows.keys], dtype=np.int32),
        "key_place": np.array([places.index(key[1]) for key in rows.keys], dtype=np.int32),
        "key_quantity": np.array([quantities.index(key[2]) for key in rows.keys], dtype=np.int32),
        "key_unit": np.array([key[3] for key in rows.keys], dtype=np.int32),
    }
    metadata = {
        "arm": arm,
        "seed": str(seed),
        _PROBES: json.dumps(asked_for(probes), sort_keys=True),
        _PLACES: json.dumps(places),
        _QUANTITIES: json.dumps(quantities),
    }
    return encode_arrays(arrays, metadata=metadata)


def decode_layers(data: bytes, *, path: Path) -> StoredLayers:
    """Take the content of the file apart.

    Args:
        data: The content.
        path: Where it was read, for messages.

    Raises:
        DamagedFileError: It is not what `encode_layers` makes.
    """
    arrays, metadata = decode(data, path=path)
    try:
        places, quantities = json.loads(metadata[_PLACES]), json.loads(metadata[_QUANTITIES])
        keys = tuple(
            (int(layer), str(places[place]), str(quantities[quantity]), int(unit))
            for layer, place, quantity, unit in zip(
                *(arrays[f"key_{name}"] for name in ("layer", "place", "quantity", "unit")),
                strict=True,
            )
        )
        found = StoredLayers(
            probes=dict(json.loads(metadata[_PROBES])),
            step=arrays["step"],
            epoch=arrays["epoch"],
            size=arrays["size"],
            key=arrays["key"],
            value=arrays["value"],
            keys=keys,
        )
        is_whole = (
            found.step.shape == found.epoch.shape == found.size.shape
            and found.key.shape == found.value.shape == (int(found.size.sum()),)
            and (found.key.size == 0 or 0 <= found.key.min() <= found.key.max() < len(keys))
        )
    except (KeyError, ValueError, TypeError, IndexError, RecursionError):
        is_whole = False
    if not is_whole:
        raise damaged(path, "these safetensors are no table of layers")
    return found


def _column(values: tuple[str | int, ...]) -> npt.NDArray[Any]:
    is_text = any(isinstance(value, str) for value in values)
    return np.array(values, dtype=object if is_text else np.int64)
