"""``steps.npy``: numpy reads it, and nothing in it is ever run."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from bninit.store.files import DamagedFileError
from bninit.store.steps import decode, encode

HERE = Path("steps.npy")


@settings(deadline=None)
@given(losses=npst.arrays(st.sampled_from([np.float32, np.float64]), st.integers(0, 50)))
def test_numpy_and_our_reader_give_every_bit_back(losses: np.ndarray) -> None:
    data = encode(losses)
    for read in (np.load(io.BytesIO(data), allow_pickle=False), decode(data, path=HERE)):
        assert read.dtype == losses.dtype
        assert read.tobytes() == losses.tobytes()


def test_what_is_read_can_be_written_to() -> None:
    losses = decode(encode(np.arange(3.0)), path=HERE)
    losses[0] = 5.0
    assert losses.tolist() == [5.0, 1.0, 2.0]


def test_the_same_losses_give_the_same_bytes() -> None:
    assert encode(np.arange(10.0)[::2]) == encode(np.array([0.0, 2, 4, 6, 8]))


def saved(array: Any, **options: bool) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("it was run",))


WHOLE = encode(np.arange(10.0))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 1000,
        b"no array",
        WHOLE[:5],
        WHOLE[:50],
        WHOLE[:-1],
        WHOLE + b"x",
        WHOLE.replace(b"(10,)", b"(99,)"),
        WHOLE.replace(b"(10,), ", b"(-9,), "),
        WHOLE.replace(b"(10,), }", b"((((((((("),
        saved(np.arange(10)),
        saved(np.ones((2, 5))),
        saved(np.float64(1.0)),
        saved(np.array(["a"])),
        saved(np.ones(4, dtype=np.float16)),
        saved(np.array([Bomb()], dtype=object), allow_pickle=True),
        pickle.dumps(Bomb()),
    ],
    ids=range(17),
)
def test_anything_else_is_damage(data: bytes) -> None:
    with pytest.raises(DamagedFileError):
        decode(data, path=HERE)


@settings(deadline=None)
@given(place=st.integers(0, len(WHOLE) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_gives_losses_or_damage(place: int, bit: int) -> None:
    data = bytearray(WHOLE)
    data[place] ^= 1 << bit
    try:
        found: object = decode(bytes(data), path=HERE).ndim
    except DamagedFileError as error:
        found = error.where
    assert found in (1, "steps.npy")
