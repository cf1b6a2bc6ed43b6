"""Overlay of partial configs, with the place that each value comes from.

A partial config gives some keys, dotted (``train.epochs: 5``), nested, or both mixed. Laid over
another one, it wins key by key. Where it names the kind of a section (the scheme, the optimiser,
the schedule), parameters below it that this kind does not take are dropped: with ``std`` in a
study's base, the arm with ``scheme: he_normal`` has none.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bninit.fields import Path, Plain, kinds_of
from bninit.nets.initialisers import ALIASES, BIAS_SCHEMES, SCHEMES
from bninit.training.settings import Optimiser, Schedule

INIT: Path = ("model", "init")
BIAS: Path = ("model", "init", "bias")
SCHEDULE: Path = ("optim", "schedule")

_KINDS: dict[Path, Mapping[str, Collection[str]]] = {
    (*INIT, "scheme"): {
        **{name: scheme.takes for name, scheme in SCHEMES.items()},
        **{name: SCHEMES[scheme].takes - set(given) for name, (scheme, given) in ALIASES.items()},
    },
    (*BIAS, "scheme"): {name: scheme.takes for name, scheme in BIAS_SCHEMES.items()},
    ("optim", "name"): {name: kind.model_fields for name, kind in kinds_of(Optimiser).items()},
    (*SCHEDULE, "name"): {name: kind.model_fields for name, kind in kinds_of(Schedule).items()},
}
"""Keys that say which kind a section is, with the parameters that each kind takes."""


@dataclass(frozen=True)
class Setting:
    """One key of a config that is given a value.

    Attributes:
        path: The key.
        value: Its value; a mapping stands for the whole section.
        origin: Where the value stands in the study.
    """

    path: Path
    value: Plain
    origin: Path

    @property
    def key_origin(self) -> Path:
        """Where the key stands; that of an axis for one of its values."""
        return self.origin[:-1] if isinstance(self.origin[-1], int) else self.origin


def key_path(key: str) -> Path:
    """Return the path of a dotted key."""
    return tuple(key.split("."))


def is_key(key: str) -> bool:
    """Tell whether text is a dotted key, with something before and after each dot."""
    return all(key.split("."))


def settings_of(
    partial: Mapping[str, Plain],
    *,
    path: Path = (),
    origin: Path = (),
    whole: Collection[Path] = (),
) -> list[Setting]:
    """Return what a partial config sets, short forms unfolded.

    Args:
        partial: Keys, dotted or nested, with their values.
        path: The section that it is of.
        origin: Where the partial config stands in the study.
        whole: Sections that a mapping replaces as a whole; other mappings are looked into.
    """
    found: list[Setting] = []
    for key, value in partial.items():
        here, at = (*path, *key_path(key)), (*origin, key)
        if here in whole:
            found.append(Setting(here, value, at))
        elif isinstance(value, dict):
            found += settings_of(value, path=here, origin=at, whole=whole)
        else:
            found += [Setting(*each, at) for each in _unfolded(here, value)]
    return found


def _unfolded(path: Path, value: Plain) -> list[tuple[Path, Plain]]:
    """Return the keys and values that a short form stands for, or the value itself."""
    if path == SCHEDULE and isinstance(value, str):
        return [((*path, "name"), value)]
    if path == BIAS and isinstance(value, int | float) and not isinstance(value, bool):
        return [((*path, "scheme"), "constant"), ((*path, "value"), value)]
    if path == ("probes",) and isinstance(value, bool):
        return [((*path, "enabled"), value)]
    return [(path, value)]


class Layered:
    """A config of partial configs, one over the other."""

    def __init__(self) -> None:
        self._leaves: dict[Path, Plain] = {}
        self._origins: dict[Path, Path] = {}

    @property
    def value(self) -> dict[str, Plain]:
        """The config, nested."""
        nested: dict[str, Plain] = {}
        for path, value in self._leaves.items():
            *sections, key = map(str, path)
            holder = nested
            for section in sections:
                holder = holder.setdefault(section, {})  # type: ignore[assignment]
            holder[key] = value
        return nested

    def lay(self, settings: Sequence[Setting]) -> Layered:
        """Return the config with a partial config over it.

        A key below a value that is no mapping is passed over: that value is the fault to tell.
        """
        above = Layered()
        above._leaves, above._origins = dict(self._leaves), dict(self._origins)
        above._unfold_alias()
        for setting in settings:
            above._drop_other_kinds(setting)
        for setting in settings:
            above._put(setting)
        return above

    def with_kinds(self) -> Layered:
        """Return the config with a kind that takes the parameters given, where none is named."""
        named = []
        for path, kinds in _KINDS.items():
            section = path[:-1]
            given = {key[len(section)] for key in self._leaves if key[:-1] == section}
            fitting = (kind for kind, takes in kinds.items() if given & _names(kinds) <= set(takes))
            if given and path not in self._leaves:
                named += [Setting(path, kind, ("",)) for kind in itertools.islice(fitting, 1)]
        return self.lay(named)

    def origin_of(self, path: Path) -> Path:
        """Return where a value of the config, or else the nearest section, came from."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._origins:
                return (*self._origins[path[:length]], *path[length:])
        return ()

    def _put(self, setting: Setting) -> None:
        for length in range(1, len(setting.path)):
            section = setting.path[:length]
            if self._leaves.get(section) not in (None, {}):
                return
            if self._leaves.pop(section, {}) is None:
                self._origins.pop(section, None)
            self._origins.setdefault(section, setting.key_origin)
        self._forget(setting.path)
        self._origins[setting.path] = setting.origin
        self._put_leaves(setting.path, setting.value)

    def _put_leaves(self, path: Path, value: Plain) -> None:
        if not isinstance(value, dict) or not value:
            self._leaves[path] = value
            return
        for key, item in value.items():
            self._put_leaves((*path, key), item)

    def _forget(self, path: Path) -> None:
        length = len(path)
        self._leaves = {key: item for key, item in self._leaves.items() if key[:length] != path}
        self._origins = {key: item for key, item in self._origins.items() if key[:length] != path}

    def _unfold_alias(self) -> None:
        """Write out an alias below a new layer, so that the layer can change its parameters."""
        alias = self._leaves.get((*INIT, "scheme"))
        if not isinstance(alias, str) or alias not in ALIASES:
            return
        canonical, parameters = ALIASES[alias]
        given = {key: self._leaves.get((*INIT, key)) for key in parameters}
        if any(given[key] not in (None, value) for key, value in parameters.items()):
            return  # a conflict of its own layer, to be told
        self._leaves[*INIT, "scheme"] = canonical
        for key, value in parameters.items():
            self._leaves[*INIT, key] = value
            self._origins.setdefault((*INIT, key), self.origin_of((*INIT, "scheme")))

    def _drop_other_kinds(self, setting: Setting) -> None:
        """Drop parameters below a new layer that the kind which it names does not take."""
        kinds = _KINDS.get(setting.path, {})
        if isinstance(setting.value, str) and setting.value in kinds:
            for key in _names(kinds) - set(kinds[setting.value]):
                self._forget((*setting.path[:-1], key))


def _names(kinds: Mapping[str, Collection[str]]) -> set[str | int]:
    return set(itertools.chain(*kinds.values()))
