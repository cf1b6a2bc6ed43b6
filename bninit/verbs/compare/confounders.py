"""Settings that vary between arms, and warnings of what confounds their comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from bninit.arms import Arm, Setting, non_default_settings
from bninit.config.identity import short_keys, value_label
from bninit.errors import StoreError
from bninit.store import Run

if TYPE_CHECKING:
    import pandas as pd

Varied: TypeAlias = Mapping[str, Sequence[Setting | None]]
"""By dotted key the value of each arm, None where the key plays no part in it."""

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

_PAIRING_LIMITS = (
    (
        ("data.name", "data.val_size", "train.batch_size", "train.last_batch"),
        "did not see the same batches, as their data or batches differ: equal seeds share the "
        "starting weights only.",
    ),
    (
        ("model.hidden",),
        "do not start from the same raw draws in every layer, as their layers differ in size: "
        "equal seeds share the batches.",
    ),
    (
        ("data.name",),
        "are tested on different images: their accuracies measure different tasks.",
    ),
)
_TIMING_LIMITS = {
    "stack_size": "in stacks of different sizes ({}); a network in a larger stack takes less.",
    "machine": "on different machines ({}); compare epochs or steps instead.",
}
_MOST_NAMED = 4


def varied_settings(arms: Sequence[Arm]) -> dict[str, tuple[Setting | None, ...]]:
    """The settings in which arms differ, and no others.

    A key that plays no part in some arms (batch norm's momentum without batch norm) differs only
    if the others give it different values, or one that is not its default.
    """
    keys = list(dict.fromkeys(key for arm in arms for key in arm.settings))
    sections = dict.fromkeys(key.rpartition(".")[0] for key in keys)
    changed: dict[str, dict[str, object]] = {}
    varied: dict[str, tuple[Setting | None, ...]] = {}
    for key in [key for name in sections for key in keys if key.rpartition(".")[0] == name]:
        values = tuple(arm.settings.get(key) for arm in arms)
        there = [value for value in values if value is not None]
        differs = any(value != there[0] for value in there)
        if not differs and len(there) < len(values):
            one = next(arm for arm in arms if key in arm.settings)
            if one.id not in changed:
                changed[one.id] = non_default_settings(one.config)
            differs = key in changed[one.id]
        if differs:
            varied[key] = values
    return varied


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Name dotted keys by as much of their end as is unique: ``placement``, ``lr``."""
    short = short_keys([tuple(key.split(".")) for key in keys])
    return {key: short[tuple(key.split("."))] for key in keys}


def setting_text(value: Setting | None) -> str:
    """A setting as tables show it; a key that plays no part is a dash."""
    return "-" if value is None else value_label(value)  # type: ignore[arg-type]


def confounders(varied: Varied, *, labels: Sequence[str], baseline: int) -> list[str]:
    """Warn of arms that differ from the baseline in how they were trained, and in something else.

    One such difference alone is what is compared; the network's own settings may differ together.
    """
    confounded: dict[str, list[int]] = {}
    for i in range(len(labels)):
        groups = _groups([key for key, values in varied.items() if values[i] != values[baseline]])
        for group in groups:
            if group in _NOUNS and len(groups) > 1:
                confounded.setdefault(group, []).append(i)
    found = []
    for group, places in confounded.items():
        values_of = [varied[key] for key in varied if _group(key) == group]
        listing = [
            f"{labels[i]} "
            + (", ".join(setting_text(v[i]) for v in values_of if v[i] is not None) or "none")
            for i in (*places, baseline)
        ]
        found.append(
            f"The {_NOUNS[group]} differs, too ({_listed(listing)}): the differences between "
            "these arms may come from it, and not from the rest."
        )
    return found


def _group(key: str) -> str:
    return next((start for start in _NOUNS if f"{key}.".startswith(f"{start}.")), key)


def _groups(keys: Sequence[str]) -> list[str]:
    """What differs, each thing once: another optimiser brings its own learning rate along."""
    groups = list(dict.fromkeys(_group(key) for key in keys))
    if "optim.name" in groups:
        groups = [group for group in groups if group not in ("optim", "optim.lr")]
    if "data.name" in groups:
        groups = [group for group in groups if group != "data.val_size"]
    return groups


def pairing_limits(varied: Varied, *, labels: Sequence[str], baseline: int) -> list[str]:
    """Warn where equal seeds do not mean equal batches or equal raw draws."""
    found = []
    for keys, what in _PAIRING_LIMITS:
        columns = [varied[key] for key in keys if key in varied]
        unlike = [
            label
            for i, label in enumerate(labels)
            if any(values[i] != values[baseline] for values in columns)
        ]
        if unlike:
            found.append(f"{_listed(unlike)} and {labels[baseline]} {what}")
    return found


def timing_limits(runs: pd.DataFrame) -> list[str]:
    """Warn where training times cannot be compared."""
    return [
        f"Seconds are not comparable: runs trained {what.format(values)}"
        for column, what in _TIMING_LIMITS.items()
        if (values := _unequal(runs, column))
    ]


def data_limits(runs: pd.DataFrame) -> list[str]:
    """Warn where one data set had different contents."""
    return [
        f"The files of {name!s} were not the same for all runs (check sums: {sums}): they saw "
        "different images."
        for name, part in runs.groupby("data.name", sort=False)
        if (sums := _unequal(part, "data_checksum", num_characters=8))
    ]


def _unequal(runs: pd.DataFrame, column: str, *, num_characters: int | None = None) -> str:
    """The known values of a column by arm, ``a: 5, b: 5 and 10``; empty where all are equal."""
    by_arm: dict[str, dict[str, None]] = {}
    for label, value in zip(runs["label"].tolist(), runs[column].tolist(), strict=True):
        if value == value and value is not None:  # pandas makes NaN of None among numbers
            by_arm.setdefault(label, {})[str(value)] = None
    if len({value for values in by_arm.values() for value in values}) < 2:
        return ""
    return _listed(
        [f"{label}: {' and '.join(v[:num_characters] for v in vs)}" for label, vs in by_arm.items()]
    )


def _listed(items: Sequence[str]) -> str:
    if len(items) <= _MOST_NAMED:
        return ", ".join(items)
    return f"{', '.join(items[: _MOST_NAMED - 1])} and {len(items) - _MOST_NAMED + 1} more"


def machines_of(runs: Sequence[Run]) -> dict[str, list[str | None]]:
    """The hardware and the images that each run was trained on."""
    found: dict[str, list[str | None]] = {"machine": [], "data_checksum": []}
    for run in runs:
        try:
            about = run.environment
        except StoreError:
            about = {}
        # What others wrote may be anything.
        text = {key: value for key, value in about.items() if isinstance(value, str)}
        machine = text.get("device")
        if machine is not None and machine.startswith("cpu"):
            threads = about.get("threads")
            machine = text.get("cpu") or "CPU"
            machine += f" with {threads} thread{'' if threads == 1 else 's'}" if threads else ""
        elif machine is not None:
            machine = text.get("device_name") or machine
        found["machine"].append(machine)
        found["data_checksum"].append(text.get("data_checksum"))
    return found
