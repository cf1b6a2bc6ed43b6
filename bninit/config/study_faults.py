"""What is wrong with a study, told at the line that brings it in, and once for each cause.

A fault that an arm has is one of the study's lines: an axis value, a key of ``set``, or the base.
Many arms have it, but it is told once. Where it is a matter of keys from several lines, the last
layer is to blame: the axis value rather than the base that it does not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bninit.config.draft import value_at
from bninit.config.layers import Layered, Setting, is_key, overlap, settings_of
from bninit.config.load import Found, Search
from bninit.config.schema import Config
from bninit.config.source import Path, Place, Plain, Source, dotted, path_in, shown_value
from bninit.errors import Problem

ARM_NAME = "arm"
"""Stands for an arm's name until it has one."""

_OF_STUDY = {
    ("name",): "a study names its arms itself",
    ("targets",): "the targets of a study are those at its top",
    ("train", "seeds"): "the seeds of a study are those at its top, for all arms",
    ("schema_version",): "the version stands at the top of the file",
}
_NO_AXES = (("train", "device"), ("train", "tensorboard"), ("probes",))


class StudyFaults:
    """Gathers the faults of a study.

    Args:
        source: What the study was read from.
        original: From a path in the study to its path in the source, where they differ because
            something faulty was taken out.

    Attributes:
        found: The problems with their places.
    """

    def __init__(self, source: Source, *, original: Callable[[Path], Path] | None = None) -> None:
        self.source = source
        self.original = original or (lambda path: path)
        self._found: dict[tuple[Path, object], tuple[Place, Problem]] = {}

    @property
    def found(self) -> list[tuple[Place, Problem]]:
        """The problems with their places."""
        return list(self._found.values())

    def tell(
        self,
        path: Path,
        what: str,
        hint: str | None = None,
        *,
        of_key: bool = False,
        cause: object = None,
    ) -> None:
        """Note a fault.

        Args:
            path: Where it is, in the source.
            what: What is wrong.
            hint: What is allowed, or what to do.
            of_key: Whether the key is at fault, rather than its value.
            cause: Faults of one cause at one place are told once; the text by default.
        """
        shown = self._shown(path)
        existing = path_in(self.source.value, path)
        is_holder = isinstance(value_at(self.source.value, existing), dict | list)
        place = self.source.place_of(existing, of_key=of_key or is_holder)
        problem = Problem(str(place), dotted(shown), what, hint)
        self._found.setdefault((shown, cause or what), (place, problem))

    def settings(
        self,
        partial: Mapping[str, Plain],
        *,
        origin: Path,
        whole: Sequence[Path] = (),
        varies: bool = False,
    ) -> list[Setting]:
        """Return what a partial config sets, and tell of keys that cannot be set there.

        Args:
            partial: The partial config.
            origin: Where it stands in the source.
            whole: As for `settings_of`.
            varies: Whether it makes one arm different from another.
        """
        kept: dict[Path, Setting] = {}
        for setting in settings_of(partial, origin=origin, whole=whole):
            if not self.can_be_set(setting, varies=varies):
                continue
            earlier = kept.setdefault(setting.path, setting)
            if earlier is not setting:
                first = self.source.place_of(earlier.key_origin, of_key=True)
                line = "" if first.line is None else f", first on line {first.line}"
                what = f"{dotted(setting.path)} is given twice{line}"
                self.tell(setting.key_origin, what, "keep one of them", of_key=True)
        return list(kept.values())

    def can_be_set(self, setting: Setting, *, varies: bool) -> bool:
        """Tell whether a study may set this key of its arms; tell of it if not."""
        key = dotted(setting.path)
        if not all(is_key(str(part)) for part in setting.path):
            what = f"{shown_value(setting.key_origin[-1])} is not a key"
            self.tell(setting.key_origin, what, "as in model.norm.placement", of_key=True)
            return False
        for path, why in _OF_STUDY.items():
            if _gives(setting, path):
                self.tell(setting.key_origin, f"an arm cannot set {dotted(path)}", why, of_key=True)
                return False
        if varies and any(setting.path[: len(path)] == path for path in _NO_AXES):
            what = f"{key} makes no difference to what is trained"
            self.tell(setting.key_origin, what, "put it under base or set", of_key=True)
            return False
        return True

    def check_partial(self, settings: Sequence[Setting]) -> bool:
        """Tell of keys and values that no config can have; tell whether there are none."""
        layered = Layered().lay(settings)
        wrong = [
            found
            for found in search_arm(layered).found
            if found.is_unknown_key
            or (len(found.involved) == 1 and path_in(layered.value, found.path) == found.path)
        ]
        for found in wrong:
            origin = layered.origin_of(found.path)
            problem = found.problem
            self.tell(origin, problem.what, problem.hint, of_key=found.is_unknown_key)
        return not wrong

    def check_arm(self, layered: Layered) -> None:
        """Tell of all that is wrong with an arm."""
        for found in search_arm(layered).found:
            self._blame(found, layered)

    def _blame(self, found: Found, layered: Layered) -> None:
        own = layered.origin_of(found.path)
        given = [path for path in found.involved if path_in(layered.value, path) == path]
        origins = [layered.origin_of(path) for path in given]
        is_exact = self._shown(own) == own
        blamed = max([own, *origins] if is_exact else [*origins, own], key=_layer_of)
        what, hint = found.problem.what, found.problem.hint
        if blamed != own or not is_exact:
            what = f"{dotted(found.path)}: {what}"
        axes = {origin[:4]: origin for origin in origins if origin[2:3] == ("over",)}
        if len(axes) > 1:
            combination = ", ".join(
                f"{dotted(origin[3:4])}: {shown_value(self._value(origin[:5]))}"
                for origin in axes.values()
            )
            hint = f"{hint + '; or ' if hint else ''}exclude {{{combination}}}"
        if found.is_unknown_key and blamed[2:3] == ("over",) and len(blamed) == 5:
            blamed = blamed[:4]
        cause = (found.path, *axes.values()) if len(axes) > 1 else found.path
        self.tell(blamed, what, hint, of_key=found.is_unknown_key, cause=cause)

    def _shown(self, path: Path) -> Path:
        """Return as much of a path as there is; a key that is missing in a mapping counts."""
        existing = path_in(self.source.value, path)
        holder = value_at(self.source.value, existing)
        return path if isinstance(holder, dict) and len(path) == len(existing) + 1 else existing

    def _value(self, path: Path) -> Plain:
        return value_at(self.source.value, path_in(self.source.value, path))


def search_arm(layered: Layered) -> Search[Config]:
    """Look for all that is wrong with an arm."""
    return Search(Config, Source(ARM_NAME, {**layered.value, "name": ARM_NAME}))


def _layer_of(origin: Path) -> int:
    if origin[2:3] in (("over",), ("also",)):
        return 2
    if origin[2:3] == ("set",):
        return 1
    return 0 if origin else -1


def _gives(setting: Setting, path: Path) -> bool:
    if not overlap(setting.path, path):
        return False
    below = path[len(setting.path) :]
    return len(setting.path) >= len(path) or path_in(setting.value, below) == below
