"""The catalog tells what torchvision has, and which folders are searched, without heavy imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from bninit.data import catalog
from bninit.data.catalog import DATASETS, search_folders


def test_the_catalog_is_light_and_fits_torchvision() -> None:
    heavy = ("torch", "torchvision", "numpy", "mlxtend", "pandas")
    code = f"import sys, bninit.data.catalog; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
    assert list(DATASETS) == ["mnist5k", "mnist", "fashion_mnist", "kmnist"]
    from bninit.data.files import idx_shapes, known_md5s

    for name, dataset in DATASETS.items():
        assert name == dataset.name
        assert 0 < dataset.default_val_size < dataset.num_train // 2
        if dataset.torchvision_class is not None:
            assert [f"{stem}.gz" for stem in idx_shapes(dataset)] == list(known_md5s(dataset))


def test_given_folder_then_environment_then_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    cache = tmp_path / "cache"
    monkeypatch.setenv("BNINIT_DATA_DIR", "")
    assert search_folders() == (cache,), "an empty variable counts as absent"
    monkeypatch.setenv("BNINIT_DATA_DIR", str(tmp_path / "env"))
    assert search_folders("given") == (tmp_path / "given", tmp_path / "env", cache)
    assert search_folders("~/x/../env") == (tmp_path / "env", cache), "each once, all absolute"
    monkeypatch.undo()
    assert catalog.cache_folder() == Path(platformdirs.user_cache_dir("bninit")) / "data"
