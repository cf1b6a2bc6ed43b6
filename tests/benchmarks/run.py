"""``bninit bench`` with more peers: ``python tests/benchmarks/run.py [--quick] [--json] ...``.

Needs the extra ``peers``: Keras and JAX, Lightning. Those that are not installed are left out,
and named. The options are a part of those of ``bninit bench``.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from bninit.store.files import json_text
from bninit.verbs.bench import bench as benchmark
from bninit.verbs.bench.baselines import Build
from bninit.verbs.bench.tables import print_bench

NETWORKS = 10
"""In the stack and under vmap."""


def peers(*, num_networks: int = NETWORKS) -> tuple[list[Build], list[str]]:
    """The peers that are installed, and the modules that are missing for the others."""
    found: list[Build] = []
    missing: list[str] = []
    for module in ("jax_peers", "keras_peer", "lightning_peer"):
        try:
            peer = importlib.import_module(module)
        except ModuleNotFoundError as error:
            missing.append(str(error.name))
            continue
        if module == "jax_peers":
            found += [peer.scan(), peer.vmap_of(num_networks)]
        else:
            found.append(peer.KerasFit if module == "keras_peer" else peer.LightningFit)
    return found, missing


def main() -> None:
    """Prints one table for each case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--data")
    parser.add_argument("--data-dir")
    asked = parser.parse_args()
    others, missing = peers()
    for name in missing:
        print(f"left out: {name} is not installed (extra: peers)", file=sys.stderr)
    found = benchmark.bench(
        stacks=[NETWORKS],
        num_repeats=asked.repeats,
        max_steps=asked.steps,
        quick=asked.quick,
        device=asked.device,
        data_name=asked.data,
        data_dir=asked.data_dir,
        others=others,
        note=lambda line: print(line, file=sys.stderr),
    )
    if asked.json:
        print(json_text(found), end="")
    else:
        print_bench(found)


if __name__ == "__main__":
    main()
