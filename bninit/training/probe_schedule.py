"""When probes are taken: dense early, then sparser."""

from __future__ import annotations

import math

EVERY_EPOCH = 100
"""Up to this epoch each one is probed; later ones at intervals that grow with the epoch."""

_GROWTH = 1.05


def probed_steps(steps_per_doubling: int, *, num_steps: int) -> frozenset[int]:
    """The steps after which probes are taken, between epochs or not: dense early, then sparser.

    They are 2^(i / n), rounded, for n steps per doubling: 1, 2, 4, 8, ... for 1. They do not
    depend on the length of the training, but for ending with it.

    Args:
        steps_per_doubling: n; 0 for no steps.
        num_steps: Steps of the whole training.
    """
    if steps_per_doubling == 0 or num_steps < 1:
        return frozenset()
    last = math.floor(math.log2(num_steps) * steps_per_doubling)
    return frozenset(round(2 ** (i / steps_per_doubling)) for i in range(last + 1))


def is_probed_epoch(epoch: int, *, num_epochs: int) -> bool:
    """Whether probes are taken at the end of an epoch.

    At 0 (before the training), at each up to `EVERY_EPOCH`, at the last one, and between at
    intervals that grow by 5 %: no more than 243 in the longest training that a config allows.

    Args:
        epoch: Finished epochs.
        num_epochs: Of the whole training.
    """
    if epoch <= EVERY_EPOCH or epoch == num_epochs:
        return True
    i = round(math.log(epoch / EVERY_EPOCH, _GROWTH))
    return any(round(EVERY_EPOCH * _GROWTH**j) == epoch for j in (i - 1, i, i + 1))
