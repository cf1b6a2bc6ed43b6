"""What a reader of a landscape has to know, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bninit.analysis.landscape_wish import LandscapeWish
from bninit.analysis.landscapes import GRADIENT, LINE, PLANE, TRAJECTORY, LandscapeRun
from bninit.analysis.trajectories import RANDOM_WALK


def notes_of(runs: Sequence[LandscapeRun], wish: LandscapeWish) -> Iterator[str]:
    """How it was measured, and what cannot be concluded from it.

    Args:
        runs: In order, with the gaps of their replays.
        wish: What was asked for.
    """
    for run in runs:
        if run.replay_gap:
            yield (
                f"{run.label}: trained once more it was off by up to {run.replay_gap:.2g} nats a "
                "step (another machine, number of threads or version), so what is told of its "
                "training is of that second training."
            )
    if GRADIENT in wish.kinds:
        yield from _gradient_notes(runs, wish)
    if {LINE, PLANE} & set(wish.kinds):
        yield (
            "Random directions are the same draws for all networks of a shape, and each unit's "
            "incoming weights move by as much as their own norm at distance 1; biases, gamma and "
            "beta do not move."
        )
    if {LINE, PLANE, TRAJECTORY} & set(wish.kinds):
        yield from _slice_notes(runs, wish)
    if TRAJECTORY in wish.kinds:
        first, second = (round(100 * share) for share in RANDOM_WALK)
        yield (
            "A trajectory is seen as its shadow on the plane: what it does outside is not shown. A "
            f"long random walk, too, has {first} and {second} % of its variance in its first two "
            "principal components."
        )


def _gradient_notes(runs: Sequence[LandscapeRun], wish: LandscapeWish) -> Iterator[str]:
    if len({run.arm for run in runs}) > 1:
        yield (
            "A training that is further ahead has less loss left to vary, smaller gradients and a "
            "flatter surface: part of a difference at the same step can be that."
        )
    if wish.lengths is not None:
        yield "Step lengths along the gradient are the same for all runs."
        return
    yield (
        "Step lengths are 1/2 to 4 times each run's own learning rate, along the gradient of the "
        "step's own mini-batch, without momentum."
    )
    if len({run.learning_rate for run in runs}) > 1:
        yield (
            "These learning rates differ: the runs are compared at the steps that each of them "
            "makes; --lengths 0.05,0.1,0.2,0.4, say, compares them at equal step lengths."
        )


def _slice_notes(runs: Sequence[LandscapeRun], wish: LandscapeWish) -> Iterator[str]:
    yield (f"Slices show the mean loss of the first {wish.examples:,} training examples.")
    if wish.statistics == "batch":
        yield (
            "With batch norm each point is normalized by the statistics of these examples at that "
            "point, as in training."
        )
    else:
        yield (
            "With batch norm each point is normalized by the trained network's running "
            "statistics, which are not those of the moved weights."
        )
    arms = {run.arm for run in runs}
    if len(arms) < len(runs) and {PLANE, TRAJECTORY} & set(wish.kinds):
        yield "Planes are of the lowest seed of each arm."
