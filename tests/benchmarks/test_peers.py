"""Peers compute what bninit does: ``pytest tests/benchmarks -m peers`` with the extra ``peers``."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from noise import noise_images

from bninit.verbs.bench.baselines import Case, check_losses

pytestmark = [
    pytest.mark.peers,
    # What other packages warn of is not ours to mend.
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture(params=["none", "pre", "post"])
def case(request: pytest.FixtureRequest) -> Case:
    return Case(noise_images(), hidden=(7, 5), batch_size=10, placement=request.param)


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
