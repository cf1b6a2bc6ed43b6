"""Downloads, against a mirror on this machine: whole and verified, or one clear error."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bninit.data.catalog import MissingDataError
from bninit.data.download import download
from bninit.data.files import read_folder


def names_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def whole(tiny: Any) -> list[str]:
    return sorted(["MNIST", "MNIST/raw", *(f"MNIST/raw/{name}" for name in tiny.compressed)])


def test_all_files_come_from_the_second_mirror_when_the_first_is_away(
    tmp_path: Path, tiny: Any, mirror: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new" / "data"
    assert download(tiny.dataset, (folder,)) == folder
    assert names_in(folder) == whole(tiny)
    assert read_folder(tiny.dataset, folder).checksum() == tiny.images.checksum()
    captured = capfd.readouterr()
    assert captured.out + captured.err == "", "no bars where there is no terminal"


def test_only_absent_files_are_downloaded_or_those_that_are_not_verified(
    tmp_path: Path, tiny: Any, mirror: Any
) -> None:
    raw = tiny.write(tmp_path)
    (raw / "train-labels-idx1-ubyte.gz").unlink()
    (raw / "train-images-idx3-ubyte.gz").write_bytes(b"")
    (raw / "t10k-labels-idx1-ubyte.gz").unlink()
    (raw / "t10k-labels-idx1-ubyte").write_bytes(b"unknown")
    download(tiny.dataset, (tmp_path,))
    assert set(mirror.served) == {"train-labels-idx1-ubyte.gz"}
    mirror.served.clear()
    download(tiny.dataset, (tmp_path,), replace=True)
    assert set(mirror.served) == {"train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"}
    assert read_folder(tiny.dataset, tmp_path).checksum() == tiny.images.checksum()


def test_no_mirror_gives_one_error_and_leaves_no_folders(tmp_path: Path, tiny: Any) -> None:
    folder = tmp_path / "new"
    with pytest.raises(MissingDataError) as caught:
        download(tiny.dataset, (folder,))
    text = str(caught.value)
    assert text.startswith(f"{folder}/MNIST/raw: files of mnist are missing")
    for part in ("refused", "http://127.0.0.1:9/", "mnist5k"):
        assert part in text
    assert not folder.exists()


@pytest.mark.parametrize("harm", [lambda data: data[:-5], lambda data: b"<html>", lambda data: b""])
def test_what_a_mirror_garbles_never_appears(
    tmp_path: Path, tiny: Any, mirror: Any, harm: Any
) -> None:
    name = "t10k-images-idx3-ubyte.gz"
    mirror.files[name] = harm(mirror.files[name])
    with pytest.raises(MissingDataError, match=f"{name} cannot be downloaded"):
        download(tiny.dataset, (tmp_path / "d",))
    kept = {name for name in whole(tiny) if "t10k" not in name}
    assert set(names_in(tmp_path / "d")) == kept


def test_a_file_on_its_way_is_not_seen_under_its_name(
    tmp_path: Path, tiny: Any, mirror: Any
) -> None:
    half_sent, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        half_sent.set()
        go_on.wait(10)

    mirror.before_second_half = wait
    thread = threading.Thread(target=download, args=(tiny.dataset, (tmp_path,)))
    thread.start()
    try:
        assert half_sent.wait(10)
        raw = tmp_path / "MNIST" / "raw"
        assert [path for path in raw.iterdir() if path.name.endswith(".gz")] == []
    finally:
        go_on.set()
        thread.join()
    assert names_in(tmp_path) == whole(tiny)


def test_two_at_once_fetch_each_file_once_and_both_end_well(
    tmp_path: Path, tiny: Any, mirror: Any
) -> None:
    threads = [
        threading.Thread(target=download, args=(tiny.dataset, (tmp_path,))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names_in(tmp_path) == whole(tiny)
    # torchvision asks twice for each file.
    assert sorted(mirror.served) == sorted(2 * list(tiny.compressed))


def test_the_first_folder_that_can_be_written_is_taken(
    tmp_path: Path, tiny: Any, mirror: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("a file where a folder should be")
    closed = tmp_path / "file" / "data"
    assert download(tiny.dataset, (closed, tmp_path / "open")) == tmp_path / "open"
    with pytest.raises(MissingDataError, match="none of the folders searched can be written"):
        download(tiny.dataset, (closed,))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(MissingDataError, match=r"cannot be written \(No space left on device\)"):
        download(tiny.dataset, (tmp_path / "d",))
    assert not (tmp_path / "d").exists()


def test_what_a_killed_download_left_is_cleared_but_not_a_living_one(
    tmp_path: Path, tiny: Any, mirror: Any
) -> None:
    raw = tmp_path / "MNIST" / "raw"
    for name, age_seconds in (("old", 7200), ("young", 60)):
        left = raw / f".partial-{name}"
        left.mkdir(parents=True)
        (left / "half.gz").write_bytes(b"x")
        os.utime(left, (time.time() - age_seconds,) * 2)
    download(tiny.dataset, (tmp_path,))
    assert {path.name for path in raw.glob(".*")} == {".partial-young"}


def test_a_silent_connection_is_given_up_and_the_process_left_as_it_was(
    tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision.datasets

    monkeypatch.setattr("bninit.data.download._TIMEOUT_SECONDS", 0.05)
    stderr = sys.stderr
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [url])
        with pytest.raises(MissingDataError, match="timed out"):
            download(tiny.dataset, (tmp_path / "d",))
    assert socket.getdefaulttimeout() is None
    assert sys.stderr is stderr
