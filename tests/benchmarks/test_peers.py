"""Peers compute what bninit does: ``pytest tests/benchmarks -m peers`` with the extra ``peers``."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from bninit.data.load import Data
from bninit.verbs.bench.baselines import Case, check_losses

pytestmark = [
    pytest.mark.peers,
    # What other packages warn of is not ours to mend.
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture(params=["none", "pre", "post"])
def case(request: pytest.FixtureRequest) -> Case:
    generator = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 256, (64, 36), generator=generator).float() / 255
    labels = torch.randint(0, 3, (64,), generator=generator)
    of_each = {"x": pixels, "y": labels}
    data = Data(
        **{
            f"{part}_{of}": each
            for part in ("train", "val", "test")
            for of, each in of_each.items()
        },
        num_classes=3,
        checksum="",
        name="noise",
        scale="unit",
        shift=0.0,
        divisor=255.0,
    )
    return Case(data, hidden=(7, 5), batch_size=10, placement=request.param, max_steps=None)


@pytest.mark.parametrize(
    ("package", "module", "make"),
    [
        ("jax", "jax_peers", lambda module: module.scan()),
        ("jax", "jax_peers", lambda module: module.vmap_of(3)),
        ("keras", "keras_peer", lambda module: module.KerasFit),
        ("lightning", "lightning_peer", lambda module: module.LightningFit),
    ],
    ids=["scan", "vmap", "keras", "lightning"],
)
def test_a_peer_computes_the_same(
    package: str, module: str, make: Any, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec(package) is None:  # to import Keras would choose its backend
        pytest.skip(f"{package} is not installed (extra: peers)")
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    contender = make(importlib.import_module(module))(case)
    losses = contender.train()
    assert check_losses(case, name=contender.name, losses=losses) < 1e-5
    assert contender.train().shape == losses.shape == (contender.num_networks, 6)
