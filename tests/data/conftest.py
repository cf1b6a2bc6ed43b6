"""A tiny MNIST of the test's own making, a mirror that serves it, and the way to the real one."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import http.server
import os
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bninit.data import catalog as locations
from bninit.data.catalog import DATASETS, Dataset
from bninit.data.files import RawImages

_GIVEN_DATA_DIR = os.environ.get("BNINIT_DATA_DIR")
_NOWHERE = "http://127.0.0.1:9/"


def idx_bytes(array: np.ndarray) -> bytes:
    """Write the idx format from its description: type 8, extents big-endian, values."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


@dataclasses.dataclass(frozen=True)
class TinyMnist:
    """60 + 20 images under the name mnist, with the MD5 sums that torchvision is made to expect."""

    dataset: Dataset
    images: RawImages
    contents: dict[str, bytes]

    @property
    def compressed(self) -> dict[str, bytes]:
        return {f"{stem}.gz": gzip.compress(raw, mtime=0) for stem, raw in self.contents.items()}

    def write(self, folder: Path, *, compressed: bool = True) -> Path:
        raw = folder / "MNIST" / "raw"
        raw.mkdir(parents=True, exist_ok=True)
        for name, content in (self.compressed if compressed else self.contents).items():
            (raw / name).write_bytes(content)
        return raw


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BNINIT_DATA_DIR", raising=False)
    monkeypatch.setattr(locations, "cache_folder", lambda: tmp_path / "cache")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> TinyMnist:
    import torchvision.datasets

    random = np.random.default_rng(0)
    images = RawImages(
        random.integers(0, 256, (60, 784), dtype=np.uint8),
        np.arange(60, dtype=np.uint8) % 10,
        random.integers(0, 256, (20, 784), dtype=np.uint8),
        np.arange(20, dtype=np.uint8) % 10,
    )
    contents = {
        "train-images-idx3-ubyte": idx_bytes(images.train_x.reshape(-1, 28, 28)),
        "train-labels-idx1-ubyte": idx_bytes(images.train_y),
        "t10k-images-idx3-ubyte": idx_bytes(images.test_x.reshape(-1, 28, 28)),
        "t10k-labels-idx1-ubyte": idx_bytes(images.test_y),
    }
    dataset = dataclasses.replace(
        DATASETS["mnist"], num_train=60, num_test=20, default_val_size=10, checksum=None
    )
    tiny = TinyMnist(dataset, images, contents)
    md5s = [(name, hashlib.md5(data).hexdigest()) for name, data in tiny.compressed.items()]
    monkeypatch.setitem(DATASETS, "mnist", dataset)
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", md5s)
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [_NOWHERE])
    return tiny


class Mirror:
    """A web server on this machine; `before_second_half` runs when half of a file has been sent."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.served: list[str] = []
        self.before_second_half: Callable[[], None] = lambda: None
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.lstrip("/")
                content = mirror.files.get(name)
                if content is None:
                    self.send_error(404)
                    return
                mirror.served.append(name)
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                # torchvision asks twice, the first time only to see where it is led.
                if self.headers.get("Method") == "HEAD":
                    return
                self.wfile.write(content[: len(content) // 2])
                mirror.before_second_half()
                self.wfile.write(content[len(content) // 2 :])

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture
def mirror(tiny: TinyMnist, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    import torchvision.datasets

    mirror = Mirror(tiny.compressed)
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [_NOWHERE, mirror.url])
    thread = threading.Thread(target=mirror.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield mirror
    mirror.server.shutdown()
    mirror.server.server_close()
    thread.join()


@pytest.fixture
def mnist_dir() -> Path:
    """Return the data folder with the real MNIST; skips where there is none."""
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    folder = Path(_GIVEN_DATA_DIR) if _GIVEN_DATA_DIR else beside
    if not list(folder.glob("MNIST/raw/train-images-idx3-ubyte*")):
        pytest.skip(f"no MNIST/raw below {folder}; name its folder with $BNINIT_DATA_DIR")
    return folder
