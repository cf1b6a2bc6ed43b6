"""``bninit explain`` through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from running import bninit

CONFIG = """
name: {name}
model: {{hidden: [24, 24, 24, 24, 24, 24], activation: tanh, init: {{scheme: {scheme}}}}}
train: {{batch_size: 32}}
"""


def write(folder: Path, name: str, scheme: str) -> str:
    (folder / f"{name}.yaml").write_text(CONFIG.format(name=name, scheme=scheme))
    return f"{name}.yaml"


def test_theory_stands_beside_measurement(tmp_path: Path) -> None:
    config = write(tmp_path, "torch", "torch_default")
    done = bninit("explain", config, "--seeds", "20", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for said in (
        "U(-l, l), l = 1 / sqrt(784)",
        "784 -> 24",
        "24 of 24",
        "It vanishes (N18)",
        "the critical variance of the weights is 1 / fan_in (lecun_normal)",
        'The lecture notes call this law "Xavier normal" (N20)',
    ):
        assert said in " ".join(done.stdout.split()), said
    folder = tmp_path / "runs" / "explain" / "torch"
    assert "runs/explain/torch" in done.stderr
    assert (folder / "explain.png").read_bytes().startswith(b"\x89PNG")
    (kept,) = json.loads((folder / "explain.json").read_text())
    course = kept["gradient_per_layer"]
    assert course["num_layers"] == 5
    # 1 / sqrt(3) for small signals (facts on initialisers); wide layers, 20 networks of 24 units.
    assert course["predicted"] == pytest.approx(3**-0.5, rel=0.03)
    assert course["measured"] == pytest.approx(3**-0.5, rel=0.06)


def test_several_side_by_side_as_json(tmp_path: Path) -> None:
    names = [write(tmp_path, "he", "he_normal"), write(tmp_path, "zeros", "zeros")]
    done = bninit("explain", *names, "--json", "--name", "both", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [one["name"] for one in found] == ["he", "zeros"]
    assert [one["is_symmetric"] for one in found] == [False, True]
    zeros = found[1]
    assert zeros["has_no_gradient"]
    assert zeros["gradient_per_layer"]["measured"] is None
    assert zeros["outlook"] is None
    assert (tmp_path / "runs" / "explain" / "both" / "explain.png").exists()
    shown = bninit("explain", *names, cwd=tmp_path)
    assert "Side by side" in shown.stdout
    assert "No gradient reaches the hidden layers" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.yaml"], "nothing.yaml"),
        (["he.yaml", "he.yaml"], "is given twice"),
        (["he.yaml", "--set", "model.init.scheme=best"], "best"),
        (["he.yaml", "--seeds", "none"], "none"),
        (["he.yaml", "--name", "../x"], "'../x' cannot name a folder"),
        ([], "CONFIG"),
    ],
)
def test_wrong_input_is_one_error(arguments: list[str], said: str, tmp_path: Path) -> None:
    write(tmp_path, "he", "he_normal")
    done = bninit("explain", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()
