"""Event files, read back by TensorBoard's own reader: each epoch once."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import numpy as np
import pytest
from scripted import CONFIG, Story

from bninit.errors import StoreError, UserError
from bninit.store import EventWriter, Run, RunWriter
from bninit.store.tensorboard import TAGS, event_files

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def test_the_curves_are_the_metrics_and_resuming_gives_each_epoch_once(runs_dir: Path) -> None:
    story = Story()
    for begin, until in ((0, 2), (2, 3)):
        with RunWriter(runs_dir, CONFIG, 0) as writer:
            # Nobody closes it: the process is killed.
            events = EventWriter(writer.folder, rows=writer.rows)
            for number in range(begin, until + 1):
                metrics, losses, checkpoint = story.epoch(number)
                events.epoch(metrics)
                if number < until or until == 3:
                    writer.epoch(metrics, losses, checkpoint)
    assert len(event_files(writer.folder)) == 1
    rows, curves = Run(writer.folder).rows(), read(writer.folder)
    assert set(curves) == set(TAGS)
    for tag, column in TAGS.items():
        told = [(row.epoch, value) for row in rows if (value := getattr(row, column)) is not None]
        assert curves[tag] == [(epoch, float(np.float32(value))) for epoch, value in told]


def test_without_tensorboard_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UserError, match="not installed") as caught:
        EventWriter(tmp_path)
    assert 'pip install "bninit[tensorboard]"' in str(caught.value)


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with EventWriter(tmp_path) as events:
        monkeypatch.setattr(SummaryWriter, "flush", full)
        with pytest.raises(StoreError, match="no space is left"):
            events.epoch(Story().epoch(0)[0])
