"""``bninit compare`` through the real command line."""

from __future__ import annotations

import json
from pathlib import Path

from running import bninit

CONFIG = """
name: {name}
model: {{hidden: [8], init: {{scheme: {scheme}}}}}
train: {{epochs: 2, batch_size: 250, seeds: 2, device: cpu}}
targets: [0.5, 0.999]
"""


def test_configs_are_trained_once_and_compared(tmp_path: Path) -> None:
    for name, scheme in (("he", "he_normal"), ("zeros", "zeros")):
        (tmp_path / f"{name}.yaml").write_text(CONFIG.format(name=name, scheme=scheme))
    done = bninit("compare", "he.yaml", "zeros.yaml", "--format", "json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [arm["label"] for arm in found["arms"]] == ["he", "zeros"]
    assert found["varied"] == ["model.init.scheme"]
    assert {run["stack_size"] for run in found["runs"]} == {4}, "all four in one stack"
    folder = tmp_path / "runs" / "compare" / "he-vs-zeros"
    assert json.loads((folder / "comparison.json").read_text()) == found
    assert str(folder.relative_to(tmp_path)) in done.stderr

    again = bninit(
        "compare", "he", "zeros.yaml", "--baseline", "zeros", "--name", "mine", cwd=tmp_path
    )
    assert again.returncode == 0, again.stderr
    assert "epoch 1" not in again.stderr, "nothing is trained again"
    assert "Difference from zeros" in again.stdout
    assert (tmp_path / "runs" / "compare" / "mine" / "report.md").exists()
