"""The four files together: found in either form, checked, never written beside."""

from __future__ import annotations

import dataclasses
import gzip
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bninit.data.catalog import DATASETS, DamagedDataError
from bninit.data.files import RawImages, find_folder, missing, present_files, read_folder


def _equal(one: RawImages, other: RawImages) -> bool:
    names = ("train_x", "train_y", "test_x", "test_y")
    return all((getattr(one, name) == getattr(other, name)).all() for name in names)


@pytest.mark.parametrize("compressed", [True, False])
def test_either_form_gives_the_images(tmp_path: Path, tiny: Any, compressed: bool) -> None:
    tiny.write(tmp_path, compressed=compressed)
    assert _equal(read_folder(tiny.dataset, tmp_path), tiny.images)


def test_forms_may_be_mixed_and_the_compressed_one_is_preferred(tmp_path: Path, tiny: Any) -> None:
    raw = tiny.write(tmp_path)
    (raw / "t10k-labels-idx1-ubyte.gz").unlink()
    (raw / "t10k-labels-idx1-ubyte").write_bytes(tiny.contents["t10k-labels-idx1-ubyte"])
    (raw / "train-labels-idx1-ubyte").write_bytes(b"not looked at")
    found = present_files(tiny.dataset, tmp_path)
    assert found["t10k-labels-idx1-ubyte"].suffix == ""
    assert found["train-labels-idx1-ubyte"].suffix == ".gz"
    assert _equal(read_folder(tiny.dataset, tmp_path), tiny.images)


def test_a_read_only_folder_of_compressed_files_works_and_stays_as_it_was(
    tmp_path: Path, tiny: Any
) -> None:
    raw = tiny.write(tmp_path)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    for path in (raw, raw.parent, tmp_path):
        path.chmod(0o555)
    try:
        assert _equal(read_folder(tiny.dataset, tmp_path), tiny.images)
        assert sorted(path.name for path in tmp_path.rglob("*")) == before
    finally:
        for path in (tmp_path, raw.parent, raw):
            path.chmod(0o755)


def test_the_first_folder_with_all_four_files_is_used(tmp_path: Path, tiny: Any) -> None:
    partial, whole, also_whole = (tmp_path / name for name in "abc")
    for folder in (partial, whole, also_whole):
        tiny.write(folder)
    (partial / "MNIST" / "raw" / "t10k-images-idx3-ubyte.gz").unlink()
    assert find_folder(tiny.dataset, (partial, whole, also_whole)) == whole
    assert find_folder(tiny.dataset, (partial, tmp_path / "absent")) is None


@pytest.mark.parametrize("which", range(4))
def test_a_damaged_file_of_the_four_is_named_with_the_way_out(
    tmp_path: Path, tiny: Any, which: int
) -> None:
    raw = tiny.write(tmp_path)
    path = raw / list(tiny.compressed)[which]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DamagedDataError) as caught:
        read_folder(tiny.dataset, tmp_path)
    assert str(caught.value).startswith(f"{path}: is damaged")
    assert "bninit data mnist" in str(caught.value)


def test_a_label_out_of_range_is_named(tmp_path: Path, tiny: Any) -> None:
    raw = tiny.write(tmp_path, compressed=False)
    path = raw / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + bytes([10]))
    with pytest.raises(DamagedDataError, match=r"t10k-labels-idx1-ubyte: has the label 10"):
        read_folder(tiny.dataset, tmp_path)


def test_altered_pixels_of_uncompressed_files_are_found_by_the_known_checksum(
    tmp_path: Path, tiny: Any
) -> None:
    raw = tiny.write(tmp_path, compressed=False)
    known = dataclasses.replace(tiny.dataset, checksum=tiny.images.checksum())
    read_folder(known, tmp_path)
    path = raw / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(DamagedDataError, match="holds other data than mnist"):
        read_folder(known, tmp_path)


def test_the_error_for_absent_files_names_folder_files_and_ways(tmp_path: Path, tiny: Any) -> None:
    raw = tiny.write(tmp_path / "a")
    (raw / "t10k-images-idx3-ubyte.gz").unlink()
    text = str(missing(tiny.dataset, (tmp_path / "a", tmp_path / "b"), reason="so it is"))
    assert text.startswith(f"{raw}: files of mnist are missing, and so it is\n")
    assert "expected there: t10k-images-idx3-ubyte.gz\n" in text
    assert "bninit data mnist" in text
    assert "--data-dir or $BNINIT_DATA_DIR" in text
    assert f"{tmp_path / 'a'}, {tmp_path / 'b'}" in text
    assert "mnist5k" in text


@pytest.mark.full_data
def test_real_mnist_is_what_torchvisions_own_class_reads(tmp_path: Path, mnist_dir: Path) -> None:
    import torchvision.datasets

    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for path in (mnist_dir / "MNIST" / "raw").glob("*-ubyte.gz"):
        with gzip.open(path) as source, (raw / path.stem).open("wb") as target:
            shutil.copyfileobj(source, target)
    ours = read_folder(DATASETS["mnist"], mnist_dir)
    for train, pixels, labels in (
        (True, ours.train_x, ours.train_y),
        (False, ours.test_x, ours.test_y),
    ):
        theirs = torchvision.datasets.MNIST(tmp_path, train=train)
        assert (theirs.data.flatten(1).numpy() == pixels).all()
        assert (theirs.targets.numpy() == labels).all()
    assert ours.checksum() == DATASETS["mnist"].checksum
    # The counts that the data set's page tells.
    assert np.bincount(ours.test_y).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009
    ]  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["MNIST"]
