"""From an experiment to the arms that it asks for, as configs under construction."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bninit.config.layers import Layered, Setting, key_path, overlap
from bninit.config.source import Path, Plain, dotted
from bninit.config.study import Experiment
from bninit.config.study_faults import StudyFaults

MAX_ARMS = 10_000
"""Most arms of a study, those that ``exclude`` leaves out included."""


@dataclass(frozen=True)
class Candidate:
    """An arm as the study asks for it, not yet checked.

    Attributes:
        layered: Its config.
        own: What sets it apart from the experiment's other arms.
        at: Where it stands in the study, if it stands there by itself (under ``also``).
        levels: Index of its value on each axis of ``over``; empty under ``also``.
    """

    layered: Layered
    own: tuple[Setting, ...]
    at: Path | None
    levels: tuple[int, ...]


@dataclass(frozen=True)
class Grid:
    """What an experiment asks for.

    Attributes:
        axes: The keys that set its arms apart, those of ``over`` first; none is part of another.
        candidates: Its arms, the last axis fastest, then those under ``also``.
        excluded: The settings of each entry of ``exclude``, with the entry's path.
    """

    axes: tuple[Path, ...]
    candidates: tuple[Candidate, ...]
    excluded: tuple[tuple[Path, tuple[Setting, ...]], ...]


class GridDrawer:
    """Draws up the arms of a study's experiments.

    Args:
        base: The study's base.
        faults: Told what is wrong.
    """

    def __init__(self, base: Mapping[str, Plain], *, faults: StudyFaults) -> None:
        self._faults = faults
        self.base = Layered().lay(faults.settings(base, origin=("base",)))
        self._num_arms = 0

    def draw(self, name: str, experiment: Experiment) -> Grid | None:
        """Return the arms of one experiment; None when they are too many.

        Args:
            name: The experiment's name.
            experiment: The experiment.
        """
        here: Path = ("experiments", name)
        axes = self._axes(experiment, here=here)
        num_arms = math.prod(map(len, axes.values())) + len(experiment.also)
        self._num_arms += num_arms
        if self._num_arms > MAX_ARMS:
            self._num_arms -= num_arms
            what = f"with {num_arms} arms here the study has more than {MAX_ARMS}"
            self._faults.tell((*here, "over"), what, "vary fewer keys at once", of_key=True)
            return None
        own_base = self.base.copy().lay(
            self._faults.settings(experiment.set, origin=(*here, "set"))
        )
        candidates: list[Candidate] = []
        if axes or not experiment.also:
            for choice in itertools.product(*(range(len(values)) for values in axes.values())):
                own = [values[level] for values, level in zip(axes.values(), choice, strict=True)]
                candidates.append(Candidate(own_base.copy().lay(own), tuple(own), None, choice))
        for index, entry in enumerate(experiment.also):
            at = self._faults.original((*here, "also", index))
            own = self._faults.settings(entry, origin=at, whole=list(axes), varies=True)
            candidates.append(Candidate(own_base.copy().lay(own), tuple(own), at, ()))
        excluded = []
        for index, entry in enumerate(experiment.exclude):
            at = self._faults.original((*here, "exclude", index))
            settings = self._faults.settings(entry, origin=at)
            if self._faults.check_partial(settings):
                excluded.append((at, tuple(settings)))
        return Grid(_all_axes(list(axes), candidates), tuple(candidates), tuple(excluded))

    def _axes(self, experiment: Experiment, *, here: Path) -> dict[Path, list[Setting]]:
        """Return the settings of each value of each axis of ``over``."""
        axes: dict[Path, list[Setting]] = {}
        for key, values in experiment.over.items():
            at: Path = (*here, "over", key)
            path = key_path(key)
            other = next((axis for axis in axes if overlap(axis, path)), None)
            if other is not None:
                what = f"this axis overlaps with {dotted(other)}"
                hint = "an axis of whole sections can hold all that varies in them"
                self._faults.tell(at, what, hint, of_key=True)
                continue
            settings = [
                Setting(path, value, (*at, index), at) for index, value in enumerate(values)
            ]
            if all(self._faults.can_be_set(setting, varies=True) for setting in settings):
                axes[path] = settings
        return axes


def _all_axes(axes: Sequence[Path], candidates: Sequence[Candidate]) -> tuple[Path, ...]:
    """Add what ``also`` varies to the axes of ``over``; sections swallow the keys in them."""
    found = list(axes)
    for candidate in candidates:
        for setting in candidate.own if candidate.at is not None else ():
            if not any(overlap(axis, setting.path) for axis in found):
                found.append(setting.path)
            elif not any(setting.path[: len(axis)] == axis for axis in found):
                below = [axis for axis in found if axis[: len(setting.path)] == setting.path]
                found[found.index(below[0])] = setting.path
                found = [axis for axis in found if axis not in below]
    return tuple(found)
