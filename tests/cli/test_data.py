"""``bninit data``."""

import io
import json

from rich.console import Console

from bninit.data.load import InventoryRecord
from bninit.verbs.data import print_data_sets

READY = InventoryRecord(
    "mnist", "digits", "ready", "/a/" + "long/" * 20, 70_000, 11, "ab", None, None
)
DAMAGED = InventoryRecord("kmnist", "kana", "damaged", "/k", 0, 5, None, "x.gz is cut", "fetch it")


def _printed(*records: InventoryRecord, width: int = 60, as_json: bool = False) -> str:
    file = io.StringIO()
    print_data_sets(records, as_json=as_json, console=Console(file=file, width=width))
    return file.getvalue()


def test_a_path_is_never_cut() -> None:
    printed = _printed(READY)
    assert "".join(printed.split()).count("long/") == 20
    assert "70,000" in printed


def test_damage_is_told_with_what_to_do() -> None:
    printed = _printed(READY, DAMAGED)
    assert "kmnist: x.gz is cut" in printed
    assert "fetch it" in printed


def test_json() -> None:
    assert [one["status"] for one in json.loads(_printed(READY, DAMAGED, as_json=True))] == [
        "ready",
        "damaged",
    ]
