"""The catalog can be read without heavy imports and tells what torchvision has."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from bninit.data.catalog import DATASETS

_HEAVY = ("torch", "torchvision", "numpy", "mlxtend", "pandas")


def test_importing_the_catalog_imports_nothing_heavy() -> None:
    code = f"import sys, bninit.data.catalog; print([m for m in {_HEAVY} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_keys_are_names_and_the_sample_comes_first() -> None:
    assert list(DATASETS) == ["mnist5k", "mnist", "fashion_mnist", "kmnist"]
    assert all(name == dataset.name for name, dataset in DATASETS.items())


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=str)
def test_default_validation_part_leaves_images_to_train_on(dataset: Any) -> None:
    assert 0 < dataset.default_val_size < dataset.num_train // 2


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "kmnist"])
def test_torchvision_has_the_class_and_its_four_files(name: str) -> None:
    from bninit.data.files import idx_files, known_md5s

    assert {file.compressed for file in idx_files(DATASETS[name])} == set(
        known_md5s(DATASETS[name])
    )
