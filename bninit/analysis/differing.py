"""What differs between arms, and when that is more than it seems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bninit.analysis.changes import changed_settings
from bninit.analysis.frame import Arm, Setting
from bninit.config.labels import short_keys, value_label
from bninit.config.layers import key_path

if TYPE_CHECKING:
    import pandas as pd

_NOUNS: Mapping[str, str] = {
    "data.name": "data set",
    "data.scale": "scaling of the pixels",
    "data.val_size": "size of the validation set",
    "optim.name": "optimiser",
    "optim.lr": "learning rate",
    "optim.schedule": "learning-rate schedule",
    "optim": "optimiser's settings",
    "train.batch_size": "batch size",
    "train.last_batch": "treatment of the last batch",
    "train.epochs": "number of epochs",
    "train.precision": "precision",
}
"""What is not the network, by the beginning of its keys; the first that fits names a key."""

_SAME_BATCHES = ("data.name", "data.val_size", "train.batch_size", "train.last_batch")
_MOST_NAMED = 4


def varied_settings(arms: Sequence[Arm]) -> dict[str, tuple[Setting | None, ...]]:
    """The settings in which arms differ, and no others.

    A key that plays no part in some arms (batch norm's momentum without batch norm) differs only
    if the others give it different values, or one that is not its default.

    Args:
        arms: At least one.

    Returns:
        By dotted key, in the order of a config file: the value of each arm, None where the key
        plays no part.
    """
    changed: dict[str, dict[str, object]] = {}
    varied: dict[str, tuple[Setting | None, ...]] = {}
    for key in _all_keys(arms):
        values = tuple(arm.settings.get(key) for arm in arms)
        there = [value for value in values if value is not None]
        differs = any(value != there[0] for value in there)
        if not differs and len(there) < len(values):
            one = next(arm for arm in arms if key in arm.settings)
            if one.id not in changed:
                changed[one.id] = changed_settings(one.config)
            differs = key in changed[one.id]
        if differs:
            varied[key] = values
    return varied


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Name dotted keys by as much of their end as tells them apart: ``placement``, ``lr``."""
    short = short_keys([key_path(key) for key in keys])
    return {key: short[key_path(key)] for key in keys}


def setting_text(value: Setting | None) -> str:
    """A setting as tables show it; a key that plays no part is a dash."""
    return "-" if value is None else value_label(value)  # type: ignore[arg-type]


def confounding(
    varied: Mapping[str, Sequence[Setting | None]], *, labels: Sequence[str], baseline: int
) -> list[str]:
    """Warn of arms that differ from the baseline in how they were trained, and in something else.

    One such difference alone is what is compared; the network's own settings may differ together.

    Args:
        varied: As `varied_settings` returns it.
        labels: Of the arms, in the same order.
        baseline: The place of the arm that the others are compared with.
    """
    differing = [
        [key for key, values in varied.items() if values[i] != values[baseline]]
        for i in range(len(labels))
    ]
    told: dict[str, list[int]] = {}
    for i, keys in enumerate(differing):
        groups = _groups(keys)
        for group in groups:
            if group in _NOUNS and len(groups) > 1:
                told.setdefault(group, []).append(i)
    return [_confounded(group, places, varied, labels, baseline) for group, places in told.items()]


def pairing_limits(
    varied: Mapping[str, Sequence[Setting | None]], *, labels: Sequence[str], baseline: int
) -> list[str]:
    """Warn where equal seeds do not mean equal batches or equal raw draws.

    Args:
        varied: As `varied_settings` returns it.
        labels: Of the arms, in the same order.
        baseline: The place of the arm that the others are compared with.
    """
    found = []
    batches = _unlike(varied, _SAME_BATCHES, baseline=baseline)
    if batches:
        found.append(
            f"{_named(batches, labels)} and {labels[baseline]} did not see the same batches, as "
            f"their data or batches differ: equal seeds share the starting weights only."
        )
    draws = _unlike(varied, ("model.hidden",), baseline=baseline)
    if draws:
        found.append(
            f"{_named(draws, labels)} and {labels[baseline]} do not start from the same raw draws "
            f"in every layer, as their layers differ in size: equal seeds share the batches."
        )
    images = _unlike(varied, ("data.name",), baseline=baseline)
    if images:
        found.append(
            f"{_named(images, labels)} and {labels[baseline]} are tested on different images: "
            f"their accuracies measure different tasks."
        )
    return found


def timing_limits(runs: pd.DataFrame) -> list[str]:
    """Warn where training times cannot be compared.

    Args:
        runs: One row per run, with label, stack_size, and machine or None.
    """
    found = []
    for column, what, advice in (
        ("stack_size", "in stacks of different sizes", "a network in a larger stack takes less"),
        ("machine", "on different machines", "compare epochs or steps instead"),
    ):
        values = _values_by_arm(runs, column)
        if len({value for each in values.values() for value in each}) > 1:
            listing = _cut([f"{label}: {' and '.join(each)}" for label, each in values.items()])
            found.append(f"Seconds are not comparable: runs trained {what} ({listing}); {advice}.")
    return found


def data_limits(runs: pd.DataFrame) -> list[str]:
    """Warn where one data set had different contents.

    Args:
        runs: One row per run, with label, data.name, and data_checksum or None.
    """
    found = []
    for name, part in runs.groupby("data.name", sort=False):
        values = _values_by_arm(part, "data_checksum")
        if len({value for each in values.values() for value in each}) > 1:
            listing = [f"{label} {' and '.join(v[:8] for v in vs)}" for label, vs in values.items()]
            found.append(
                f"The files of {name!s} were not the same for all runs (check sums: "
                f"{_cut(listing)}): they saw different images."
            )
    return found


def _values_by_arm(runs: pd.DataFrame, column: str) -> dict[str, list[str]]:
    """The different values of each arm that are known, as texts."""
    import pandas as pd

    by_arm: dict[str, dict[str, None]] = {}
    for label, value in zip(runs["label"].tolist(), runs[column].tolist(), strict=True):
        values = by_arm.setdefault(label, {})
        if not pd.isna(value):
            values[str(value)] = None
    return {label: list(values) for label, values in by_arm.items() if values}


def _all_keys(arms: Sequence[Arm]) -> list[str]:
    """Every key of the arms, those of one section together."""
    keys = list(dict.fromkeys(key for arm in arms for key in arm.settings))
    sections: dict[str, None] = dict.fromkeys(key.rpartition(".")[0] for key in keys)
    return [key for section in sections for key in keys if key.rpartition(".")[0] == section]


def _groups(keys: Sequence[str]) -> list[str]:
    """What differs, each thing once: another optimiser brings its own learning rate along."""
    groups = list(dict.fromkeys(_group(key) for key in keys))
    if "optim.name" in groups:
        groups = [group for group in groups if group not in ("optim", "optim.lr")]
    if "data.name" in groups:
        groups = [group for group in groups if group != "data.val_size"]
    return groups


def _group(key: str) -> str:
    return next((start for start in _NOUNS if f"{key}.".startswith(f"{start}.")), key)


def _confounded(
    group: str,
    places: Sequence[int],
    varied: Mapping[str, Sequence[Setting | None]],
    labels: Sequence[str],
    baseline: int,
) -> str:
    keys = [key for key in varied if _group(key) == group]

    def said(i: int) -> str:
        values = [setting_text(varied[key][i]) for key in keys if varied[key][i] is not None]
        return f"{labels[i]} {', '.join(values) or 'none'}"

    listing = _cut([said(i) for i in (*places, baseline)])
    return (
        f"The {_NOUNS[group]} differs, too ({listing}): what sets these arms apart may come from "
        "it, and not from the rest."
    )


def _unlike(
    varied: Mapping[str, Sequence[Setting | None]], keys: Sequence[str], *, baseline: int
) -> list[int]:
    places = {
        i
        for key in keys
        for i, value in enumerate(varied.get(key, ()))
        if value != varied[key][baseline]
    }
    return sorted(places)


def _named(places: Sequence[int], labels: Sequence[str]) -> str:
    return _cut([labels[i] for i in places])


def _cut(items: Sequence[str]) -> str:
    if len(items) <= _MOST_NAMED:
        return ", ".join(items)
    return f"{', '.join(items[: _MOST_NAMED - 1])} and {len(items) - _MOST_NAMED + 1} more"
