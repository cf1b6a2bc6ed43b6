"""The order in which folders are searched."""

from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from bninit.data import catalog as locations
from bninit.data.catalog import search_folders


def test_given_folder_then_environment_then_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BNINIT_DATA_DIR", str(tmp_path / "env"))
    assert search_folders(tmp_path / "given") == (
        tmp_path / "given",
        tmp_path / "env",
        tmp_path / "cache",
    )


def test_an_empty_variable_counts_as_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BNINIT_DATA_DIR", "")
    assert search_folders() == (tmp_path / "cache",)


def test_a_folder_named_twice_is_searched_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BNINIT_DATA_DIR", str(tmp_path))
    assert search_folders(f"{tmp_path}/x/..") == (tmp_path, tmp_path / "cache")


def test_home_and_relative_names_become_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert search_folders("~/d")[0] == tmp_path / "d" == search_folders("d")[0]


def test_cache_folder_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    cache = locations.cache_folder()
    assert cache.is_relative_to(platformdirs.user_cache_dir())
    assert cache.parts[-2:] == ("bninit", "data")
