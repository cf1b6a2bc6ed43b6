"""The file formats: every number comes back to the bit, and everything else is refused."""

from __future__ import annotations

import dataclasses
import io
import math
import pickle
import struct
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from safetensors.torch import load as torch_load
from safetensors.torch import save as torch_save
from scripted import PROBED

from bninit.store.epochs import (
    COLUMNS,
    HEADER,
    Row,
    decode_metrics,
    decode_steps,
    encode_metrics,
    encode_row,
    encode_steps,
    row_of,
)
from bninit.store.layers import COLUMNS as LAYER_COLUMNS
from bninit.store.layers import decode_layers, encode_layers
from bninit.store.tensors import decode_tensors, encode_tensors, to_torch
from bninit.training.records import EpochMetrics, LayerRows

PANDAS = tuple(int(part) for part in pd.__version__.split(".")[:2])
FLOATS = st.floats(allow_subnormal=True)


@st.composite
def tables(draw: st.DrawFn) -> list[Row]:
    rows = []
    step = 0
    for epoch in range(draw(st.integers(0, 5))):
        step += draw(st.integers(0, 10**12))
        batch_loss = draw(st.none() | FLOATS)
        rows.append(Row(epoch, step, draw(FLOATS), batch_loss, *draw(st.tuples(*[FLOATS] * 5))))
    return rows


def same(left: float | None, right: float | None) -> bool:
    """Equal to the last bit; NaN is NaN."""
    if left is None or right is None:
        return left is right
    if math.isnan(left) or math.isnan(right):
        return math.isnan(left) and math.isnan(right)
    return struct.pack("d", left) == struct.pack("d", right)


@settings(deadline=None)
@given(rows=tables())
def test_our_reader_and_pandas_give_every_bit_of_the_metrics_back(rows: list[Row]) -> None:
    text = encode_metrics(rows)
    read = decode_metrics(text.encode())
    assert len(read) == len(rows)
    for one, other in zip(read, rows, strict=True):
        assert all(same(a, b) for a, b in zip(one, other, strict=True))
        assert [type(value) for value in one] == [type(value) for value in other]
    # Up to pandas 3.0, reading is exact only when it is asked to be.
    exact: Any = {} if PANDAS >= (3, 1) else {"float_precision": "round_trip"}
    table = pd.read_csv(io.StringIO(text), **exact)
    assert list(table.columns) == list(COLUMNS)
    for place, column in enumerate(COLUMNS):
        for found, row in zip(table[column], rows, strict=True):
            value = row[place]
            assert same(float(found), math.nan if value is None else float(value))


@settings(deadline=None)
@given(rows=tables())
def test_metrics_cut_anywhere_are_shorter_or_refused(rows: list[Row]) -> None:
    data = encode_metrics(rows).encode()
    for length in range(len(data)):
        try:
            read = decode_metrics(data[:length])
        except ValueError:
            continue
        assert encode_metrics(read).encode() == data[:length]


def test_columns_are_the_fields_of_the_record_and_numpys_numbers_are_numbers() -> None:
    assert tuple(field.name for field in dataclasses.fields(EpochMetrics)) == COLUMNS
    assert HEADER == (
        "epoch,step,learning_rate,batch_loss,train_loss,train_accuracy,val_loss,val_accuracy,"
        "seconds\n"
    )
    numbers: Any = {
        "epoch": np.int64(0),
        "step": np.int64(3),
        "learning_rate": np.float64(0.1),
        "batch_loss": np.float32(0.5),
        "train_loss": np.float64("nan"),
        "train_accuracy": np.float64(0.1),
        "val_loss": np.float64("inf"),
        "val_accuracy": np.float64(0.3),
        "seconds": np.float64(0.0),
    }
    assert encode_row(row_of(EpochMetrics(**numbers))) == "0,3,0.1,0.5,nan,0.1,inf,0.3,0.0\n"
    numbers["batch_loss"] = None
    assert encode_row(row_of(EpochMetrics(**numbers))) == "0,3,0.1,,nan,0.1,inf,0.3,0.0\n"


GOOD = encode_metrics(
    [Row(0, 0, 0.1, None, 1.0, 0.5, 1.0, 0.5, 0.0), Row(1, 5, 0.1, 1.0, 1.0, 0.5, 1.0, 0.5, 1.0)]
)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("\0" * 100, "columns are not"),
        ("a,b\n1,2\n", "line 1: the columns are not epoch, step"),
        ("\ufeff" + GOOD, "not the text of a table"),
        (GOOD.replace("\n", "\r\n"), "line 1"),
        (GOOD[:-1], "line 3: the file ends within a line"),
        (GOOD.replace("\n0,", "\n1,"), "line 2: not the row of epoch 0"),
        (GOOD.replace("1,5,", "1,-5,"), "line 3: the number of steps decreases"),
        (GOOD.replace("1,5,", "1,5,7,"), "line 3"),
        (GOOD.replace("1,5,0.1", "1,5,"), "line 3"),
        (GOOD.replace("0.1", "o.1"), "line 2"),
        (GOOD + "\n", "line 4"),
    ],
)
def test_what_is_wrong_with_metrics_is_named_with_its_line(content: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        decode_metrics(content.encode())


@settings(deadline=None)
@given(losses=npst.arrays(st.sampled_from([np.float32, np.float64]), st.integers(0, 50)))
def test_numpy_and_our_reader_give_every_bit_of_the_losses_back(losses: np.ndarray) -> None:
    data = encode_steps(losses)
    for read in (np.load(io.BytesIO(data), allow_pickle=False), decode_steps(data)):
        assert read.dtype == losses.dtype
        assert read.tobytes() == losses.tobytes()
        assert read.flags.writeable
    assert encode_steps(losses[::2]) == encode_steps(losses[::2].copy())


def saved(array: Any, **options: bool) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("it was run",))


STEPS = encode_steps(np.arange(10.0))


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 1000,
        b"no array",
        STEPS[:50],
        STEPS[:-1],
        STEPS + b"x",
        STEPS.replace(b"(10,)", b"(99,)"),
        STEPS.replace(b"(10,), ", b"(-9,), "),
        STEPS.replace(b"(10,), }", b"((((((((("),
        saved(np.arange(10)),
        saved(np.ones((2, 5))),
        saved(np.float64(1.0)),
        saved(np.array(["a"])),
        saved(np.ones(4, dtype=np.float16)),
        saved(np.array([Bomb()], dtype=object), allow_pickle=True),
        pickle.dumps(Bomb()),
    ],
    ids=range(15),
)
def test_anything_else_is_no_array_of_losses(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"not an array of losses|does not hold"):
        decode_steps(data)


TENSORS = {
    "0.weight": torch.arange(6.0).reshape(2, 3),
    "0.bias": torch.tensor([float("nan"), float("-inf"), -0.0], dtype=torch.float64),
    "1.num_batches_tracked": torch.tensor(7),
    "empty": torch.zeros(0, 4),
    "a": torch.ones(2),
}
METADATA = {"epoch": "3", "arm": "0123abcd"}
BARE = '{"crc32": "00000000", "names": [["a"], 5, "a"]}'
WHOLE = encode_tensors(TENSORS, metadata=METADATA)


def assert_same(found: dict[str, torch.Tensor]) -> None:
    assert set(found) == set(TENSORS)
    for name, tensor in TENSORS.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert found[name].numpy().tobytes() == tensor.numpy().tobytes()


def test_torch_and_our_reader_give_tensors_back_in_their_order() -> None:
    assert_same(torch_load(WHOLE))
    arrays, metadata = decode_tensors(WHOLE)
    found = to_torch(arrays)
    assert_same(found)
    assert list(found) == list(TENSORS)
    assert metadata == METADATA
    found["0.weight"].add_(1)
    assert arrays["0.weight"][0, 0] == 0, "tensors are copies, to be trained on"
    for _ in range(20):
        assert encode_tensors(dict(TENSORS), metadata=dict(reversed(METADATA.items()))) == WHOLE


def test_views_of_others_are_written_as_they_look() -> None:
    stack = torch.arange(24.0).reshape(2, 3, 4)
    for view in (stack[1], stack[:, 1], stack.transpose(0, 2), stack[0, :, 0].requires_grad_()):
        arrays, _ = decode_tensors(encode_tensors({"x": view}, metadata={}))
        assert torch.equal(torch.from_numpy(arrays["x"].copy()), view.detach())


@pytest.mark.parametrize(
    ("data", "says"),
    [
        *((WHOLE[:length], "not valid") for length in (0, 7, 50, len(WHOLE) - 1)),
        (b"\0" * 100, "not valid"),
        (pickle.dumps({"a": 1}), "not valid"),
        (torch_save({"a": torch.ones(2)}), "another program"),
        (torch_save({"a": torch.ones(2, dtype=torch.bfloat16)}), "not valid"),
        (torch_save({"a": torch.ones(2)}, metadata={"bninit": '{"crc32": "0"}'}), "program"),
        (torch_save({"a": torch.ones(2)}, metadata={"bninit": BARE}), "content was changed"),
        (torch_save({"a": torch.ones(2)}, metadata={"bninit": "[]"}), "not valid"),
        (torch_save({"a": torch.ones(2)}, metadata={"bninit": "{"}), "not valid"),
    ],
)
def test_foreign_tensors_are_named(data: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        decode_tensors(data)


KEYS = ((1, "linear", "sd", -1), (2, "norm", "p15", 7), (-1, "network", "loss_ema", -1))
READINGS = LayerRows(
    step=np.array([0, 0, 0, 1, 1, 40, 40, 40]),
    epoch=np.array([0, 0, 0, 0, 0, 1, 1, 1]),
    key=np.array([0, 1, 2, 2, 0, 0, 1, 2]),
    value=np.array([1.5, -2.0, math.nan, 3e-38, 7.0, math.inf, 0.0, 2.5], dtype=np.float32),
    keys=KEYS,
)
"""Three moments: all keys, two of them, and all keys."""


def layers_of(rows: LayerRows) -> bytes:
    return encode_layers(rows, probes=PROBED.probes, arm="0123abcd", seed=3)


def test_the_table_of_layers_has_a_row_for_each_number() -> None:
    table = decode_layers(layers_of(READINGS)).table()
    assert tuple(table.columns) == LAYER_COLUMNS
    assert table["step"].tolist() == READINGS.step.tolist()
    assert table["epoch"].tolist() == READINGS.epoch.tolist()
    assert table["value"].to_numpy().astype(np.float32).tobytes() == READINGS.value.tobytes()
    named = list(zip(table["layer"], table["place"], table["quantity"], table["unit"], strict=True))
    assert named == [KEYS[key] for key in READINGS.key]
    nothing = np.empty(0, dtype=np.int64)
    empty = LayerRows(
        step=nothing, epoch=nothing, key=nothing, value=np.empty(0, dtype=np.float32), keys=()
    )
    table = decode_layers(layers_of(empty)).table()
    assert (tuple(table.columns), len(table)) == (LAYER_COLUMNS, 0)


def test_a_reading_takes_eight_bytes() -> None:
    num_moments, num_keys = 100, 500
    rows = LayerRows(
        step=np.repeat(np.arange(num_moments), num_keys),
        epoch=np.zeros(num_moments * num_keys, dtype=np.int64),
        key=np.tile(np.arange(num_keys), num_moments),
        value=np.ones(num_moments * num_keys, dtype=np.float32),
        keys=tuple((number, "linear", "sd", -1) for number in range(num_keys)),
    )
    assert len(layers_of(rows)) < 8 * num_moments * num_keys + 16_000


def test_a_trace_follows_one_quantity() -> None:
    stored = decode_layers(layers_of(READINGS))
    trace = stored.trace("linear", "sd")
    assert trace.layers.tolist() == [1]
    assert trace.steps.tolist() == [0, 1, 40]
    assert trace.values.ravel().tolist() == [1.5, 7.0, math.inf]
    of_unit = stored.trace("norm", "p15", unit=7)
    assert (of_unit.steps.tolist(), of_unit.epochs.tolist()) == ([0, 40], [0, 1])
    assert stored.trace("norm", "p15").values.shape == (0, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"key": np.array([0, 1, 2, 2, 0, 0, 1, 3], dtype=np.int32)},
        {"size": np.array([3, 2, 4], dtype=np.int32)},
        {"step": np.array([0, 1])},
        {"key_place": np.array([0, 1, 9], dtype=np.int32)},
        {"key_unit": np.array([0, 1], dtype=np.int32)},
        {"key": None},
        {"places": "7"},
        {"probes": "[1]"},
        {"quantities": "{"},
    ],
)
def test_other_tensors_are_no_table_of_layers(change: dict[str, Any]) -> None:
    arrays, metadata = decode_tensors(layers_of(READINGS))
    for name, value in change.items():
        if isinstance(value, str):
            metadata[name] = value
        elif value is None:
            del arrays[name]
        else:
            arrays[name] = value
    with pytest.raises(ValueError, match="not a table of layers"):
        decode_layers(encode_tensors(arrays, metadata=metadata))
