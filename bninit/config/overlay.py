"""Laying partial configs over each other, and knowing where each value came from.

A partial config gives some keys, dotted (``train.epochs: 5``), nested, or both mixed. Laid over
another one, it wins key by key. Where it names the kind of a section (the scheme, the optimiser,
the schedule), parameters below it that this kind does not take are dropped: with ``std`` in a
study's base, the arm with ``scheme: he_normal`` has none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bninit.fields import Path, Plain, parameters_of_kinds
from bninit.nets.initialisers import ALIASES, SCHEMES
from bninit.nets.settings import BIAS_PARAMETERS
from bninit.training.settings import Optimiser, Schedule

INIT: Path = ("model", "init")
BIAS: Path = ("model", "init", "bias")
OPTIM: Path = ("optim",)
SCHEDULE: Path = ("optim", "schedule")
PROBES: Path = ("probes",)


@dataclass(frozen=True)
class Setting:
    """One key of a config that is given a value.

    Attributes:
        path: The key.
        value: Its value; a mapping stands for the whole section.
        origin: Where the value stands in the study.
        key_origin: Where its key stands.
    """

    path: Path
    value: Plain
    origin: Path
    key_origin: Path


def key_path(key: str) -> Path:
    """Return the path of a dotted key."""
    return tuple(key.split("."))


def is_key(key: str) -> bool:
    """Tell whether text is a dotted key, with something before and after each dot."""
    return all(key.split("."))


def overlap(first: Path, second: Path) -> bool:
    """Tell whether two keys are the same, or one is the section of the other."""
    length = min(len(first), len(second))
    return first[:length] == second[:length]


def settings_of(
    partial: Mapping[str, Plain], *, origin: Path = (), whole: Collection[Path] = ()
) -> list[Setting]:
    """Return what a partial config sets, short forms unfolded.

    Args:
        partial: Keys, dotted or nested, with their values.
        origin: Where the partial config stands in the study.
        whole: Sections that a mapping replaces as a whole; other mappings are looked into.
    """
    return list(_settings(partial, path=(), origin=origin, whole=whole))


def _settings(
    partial: Mapping[str, Plain], *, path: Path, origin: Path, whole: Collection[Path]
) -> Iterator[Setting]:
    for key, value in partial.items():
        here = (*path, *key_path(key))
        at = (*origin, key)
        setting = Setting(here, value, at, at)
        if here in whole:
            yield setting
        elif isinstance(value, dict):
            yield from _settings(value, path=here, origin=at, whole=whole)
        else:
            yield from _unfolded(setting)


def _unfolded(setting: Setting) -> Iterator[Setting]:
    """Yield the settings that a short form stands for, or the setting itself."""
    value = setting.value
    parts: dict[str, Plain] = {}
    if setting.path == SCHEDULE and isinstance(value, str):
        parts = {"name": value}
    elif setting.path == BIAS and isinstance(value, int | float) and not isinstance(value, bool):
        parts = {"scheme": "constant", "value": value}
    elif setting.path == PROBES and isinstance(value, bool):
        parts = {"enabled": value}
    for key, part in parts.items():
        yield Setting((*setting.path, key), part, setting.origin, setting.key_origin)
    if not parts:
        yield setting


class Layered:
    """A config under construction, one partial config over the other.

    Attributes:
        value: The config so far, nested.
    """

    def __init__(self) -> None:
        self.value: dict[str, Plain] = {}
        self._origins: dict[Path, Path] = {}

    def copy(self) -> Layered:
        """Return a copy to lay more over."""
        other = Layered()
        other.value = {key: _copied(item) for key, item in self.value.items()}
        other._origins = dict(self._origins)
        return other

    def lay(self, settings: Sequence[Setting]) -> Layered:
        """Lay one partial config over what is there; return self.

        A key below a value that is no mapping is passed over: that value is the fault to tell.
        """
        self._unfold_alias()
        for setting in settings:
            self._make_room(setting)
        for setting in settings:
            self._put(setting)
        return self

    def origin_of(self, path: Path) -> Path:
        """Return where a value of the config, or else the nearest section, came from."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._origins:
                return (*self._origins[path[:length]], *path[length:])
        return ()

    def _put(self, setting: Setting) -> None:
        *sections, last = (str(part) for part in setting.path)
        holder = self.value
        for length, key in enumerate(sections, start=1):
            if holder.get(key) is None:
                holder[key] = {}
                self._origins[setting.path[:length]] = setting.key_origin
            below = holder[key]
            if not isinstance(below, dict):
                return
            holder = below
        self._forget(setting.path)
        holder[last] = _copied(setting.value)
        self._origins[setting.path] = setting.origin

    def _forget(self, path: Path) -> None:
        length = len(path)
        for known in [known for known in self._origins if known[:length] == path]:
            del self._origins[known]

    def _section(self, path: Path) -> dict[str, Plain] | None:
        held: Plain = self.value
        for key in path:
            held = held.get(str(key)) if isinstance(held, dict) else None
        return held if isinstance(held, dict) else None

    def _unfold_alias(self) -> None:
        """Write out an alias below the new layer, so that the layer can change its parameters."""
        init = self._section(INIT) or {}
        alias = init.get("scheme")
        if not isinstance(alias, str) or alias not in ALIASES:
            return
        canonical, parameters = ALIASES[alias]
        if any(init.get(key) not in (None, value) for key, value in parameters.items()):
            return  # a conflict of its own layer, to be told
        init["scheme"] = canonical
        for key, value in parameters.items():
            init[key] = value
            self._origins.setdefault((*INIT, key), self.origin_of((*INIT, "scheme")))

    def _make_room(self, setting: Setting) -> None:
        """Drop what lies below of parameters that a kind does not take."""
        rule = _KINDS.get(setting.path)
        section = self._section(setting.path[:-1])
        if rule is None or section is None or not isinstance(setting.value, str):
            return
        takes = rule.takes(setting.value)
        if takes is None:
            return
        for key in [key for key in section if key in rule.parameters and key not in takes]:
            del section[key]
            self._forget((*setting.path[:-1], key))


@dataclass(frozen=True)
class _Kind:
    """A key that says which kind a section is.

    Attributes:
        takes: From a kind to the parameters that it takes; None for an unknown kind.
        parameters: All parameters that depend on the kind.
    """

    takes: Callable[[str], Collection[str] | None]
    parameters: frozenset[str]


def _scheme_takes(name: str) -> Collection[str] | None:
    canonical, parameters = ALIASES.get(name, (name, {}))
    return SCHEMES[canonical].takes - set(parameters) if canonical in SCHEMES else None


def _keys(table: Iterable[Iterable[str]]) -> frozenset[str]:
    return frozenset(key for keys in table for key in keys)


_OPTIMISERS = parameters_of_kinds(Optimiser)
_SCHEDULES = parameters_of_kinds(Schedule)

_KINDS: dict[Path, _Kind] = {
    (*INIT, "scheme"): _Kind(_scheme_takes, _keys(each.takes for each in SCHEMES.values())),
    (*BIAS, "scheme"): _Kind(BIAS_PARAMETERS.get, _keys(BIAS_PARAMETERS.values())),
    (*OPTIM, "name"): _Kind(_OPTIMISERS.get, _keys(_OPTIMISERS.values())),
    (*SCHEDULE, "name"): _Kind(_SCHEDULES.get, _keys(_SCHEDULES.values())),
}


def _copied(value: Plain) -> Plain:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copied(item) for item in value]
    return value
