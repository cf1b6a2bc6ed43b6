"""Folder names: there and back, and never outside of the runs folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bninit.config import Config, arm_id
from bninit.errors import StoreError
from bninit.store.names import (
    CONFIG,
    RESULTS,
    TEMPORARY,
    arm_folder,
    parse_arm_folder,
    parse_run_folder,
    run_folder,
)

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)


def test_a_run_lies_in_its_arm(config: Config) -> None:
    folder = run_folder("there", config, 7)
    assert folder == Path("there") / f"tiny-{arm_id(config)}" / "seed-7"
    assert folder.parent == arm_folder(Path("there"), config)


@settings(deadline=None)
@given(name=NAMES, seed=st.integers(0, 2**32 - 1))
def test_names_are_read_back(name: str, seed: int) -> None:
    config = Config.model_validate({"name": name})
    folder = run_folder("runs", config, seed)
    assert parse_arm_folder(folder.parent.name) == (name, arm_id(config))
    assert parse_run_folder(folder.name) == seed
    assert folder.parent.parent == Path("runs")


@pytest.mark.parametrize(
    "name",
    ["", "x", "x-123", "x-0123456g", "-01234567", "a/b-01234567", "x-01234567 ", ".-01234567"],
)
def test_other_folders_are_no_arms(name: str) -> None:
    assert parse_arm_folder(name) is None


@pytest.mark.parametrize(
    "name", ["seed-", "seed-01", "seed--1", "seed-1.5", "Seed-1", "seed-٣", "x"]
)
def test_other_folders_are_no_runs(name: str) -> None:
    assert parse_run_folder(name) is None


@pytest.mark.parametrize("name", ["../up", "/root", "a/b", "..", "", "a\\b", "a\0"])
def test_a_name_that_leads_elsewhere_is_refused(
    configure: Callable[..., Config], name: str
) -> None:
    # A Config refuses it, too; this one was made behind its back.
    config = configure().model_copy(update={"name": name})
    with pytest.raises(StoreError, match="cannot name a folder"):
        run_folder("runs", config, 0)


def test_no_file_of_a_run_looks_temporary() -> None:
    assert not any(TEMPORARY.fullmatch(name) for name in (*RESULTS, CONFIG, ".lock"))
