"""Safetensors: torch's own loader reads them, and a flipped bit is found."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load as torch_load
from safetensors.torch import save as torch_save

from bninit.store.files import DamagedFileError
from bninit.store.tensors import decode, encode, to_torch

HERE = Path("final.safetensors")
TENSORS = {
    "0.weight": torch.arange(6.0).reshape(2, 3),
    "0.bias": torch.tensor([float("nan"), float("-inf"), -0.0], dtype=torch.float64),
    "1.num_batches_tracked": torch.tensor(7),
    "empty": torch.zeros(0, 4),
}
METADATA = {"epoch": "3", "arm": "0123abcd"}
BARE = '{"crc32": "00000000", "names": [["a"], 5, "a"]}'
WHOLE = encode(TENSORS, metadata=METADATA)


def assert_same(found: dict[str, torch.Tensor]) -> None:
    assert set(found) == set(TENSORS)
    for name, tensor in TENSORS.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert found[name].numpy().tobytes() == tensor.numpy().tobytes()


def test_torch_loads_what_was_written() -> None:
    assert_same(torch_load(WHOLE))


def test_our_reader_gives_it_back() -> None:
    arrays, metadata = decode(WHOLE, path=HERE)
    assert_same(to_torch(arrays))
    assert metadata == METADATA


@pytest.mark.parametrize("turn", [list, reversed])
def test_the_order_comes_back(turn: Any) -> None:
    tensors = dict(turn([(f"{number}.weight", torch.ones(2)) for number in range(12)]))
    arrays, _ = decode(encode(tensors, metadata={}), path=HERE)
    assert list(to_torch(arrays)) == list(tensors)


def test_what_is_read_can_be_trained_on() -> None:
    arrays, _ = decode(WHOLE, path=HERE)
    to_torch(arrays)["0.weight"].add_(1)
    assert arrays["0.weight"][0, 0] == 0


def test_views_of_others_are_written_as_they_look() -> None:
    stack = torch.arange(24.0).reshape(2, 3, 4)
    for view in (stack[1], stack[:, 1], stack.transpose(0, 2), stack[0, :, 0].requires_grad_()):
        arrays, _ = decode(encode({"x": view}, metadata={}), path=HERE)
        assert torch.equal(torch.from_numpy(arrays["x"].copy()), view.detach())


def test_the_same_tensors_give_the_same_bytes() -> None:
    for _ in range(20):
        assert encode(dict(TENSORS), metadata=dict(reversed(METADATA.items()))) == WHOLE


@settings(deadline=None)
@given(place=st.integers(0, len(WHOLE) - 1), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found(place: int, bit: int) -> None:
    data = bytearray(WHOLE)
    data[place] ^= 1 << bit
    try:
        arrays, metadata = decode(bytes(data), path=HERE)
    except DamagedFileError:
        return
    # JSON has more than one spelling: what is read is the same all the same.
    assert metadata == METADATA
    assert_same(to_torch(arrays))


def test_a_file_cut_anywhere_is_found() -> None:
    for length in range(len(WHOLE)):
        with pytest.raises(DamagedFileError):
            decode(WHOLE[:length], path=HERE)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"\0" * 100, "not whole"),
        (pickle.dumps({"a": 1}), "not whole"),
        (torch_save({"a": torch.ones(2)}), "another program's"),
        (torch_save({"a": torch.ones(2, dtype=torch.bfloat16)}), "not whole"),
        (torch_save({"a": torch.ones(2)}, metadata={"bninit": '{"crc32": "0"}'}), "program's"),
        (torch_save({"a": torch.ones(2)}, metadata={"bninit": BARE}), "some of it was changed"),
        (torch_save({"a": torch.ones(2)}, metadata={"bninit": "[]"}), "not whole"),
        (torch_save({"a": torch.ones(2)}, metadata={"bninit": "{"}), "not whole"),
    ],
)
def test_foreign_files_are_named(data: bytes, says: str) -> None:
    with pytest.raises(DamagedFileError, match=says):
        decode(data, path=HERE)
