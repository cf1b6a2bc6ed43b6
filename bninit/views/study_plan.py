"""What a study would train, for ``bninit study --dry-run``, and what is missing of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.text import Text

from bninit.config.labels import value_label
from bninit.views import text
from bninit.views.claim_words import seeds_label, seeds_phrase, value_names
from bninit.views.layout import Column, Grid, pairs, stacked

if TYPE_CHECKING:
    from bninit.config import Config
    from bninit.studies import StudyPlan


def print_study_plan(
    plan: StudyPlan, *, seconds: float | None, console: Console | None = None
) -> None:
    """Prints experiments with their arms, the stacks, the networks, and the time they take.

    Args:
        plan: From `bninit.studies.plan_study`.
        seconds: Estimated time; None where it is not known.
        console: Where to; standard output by default.
    """
    (console or Console()).print(plan_table(plan, seconds=seconds))


def plan_table(plan: StudyPlan, *, seconds: float | None) -> RenderableType:
    """The plan as tables; arguments as in `print_study_plan`."""
    study = plan.study
    num_missing = sum(map(len, plan.stacks))
    parts: list[RenderableType] = [Text(f"{study.title}", style="bold", overflow="fold")]
    for name, experiment in study.experiments.items():
        arms = [arm for arm in plan.arms if arm.experiment == name]
        head = Text(f"{name}: {text.plural(len(arms), 'arm')}", style="bold", overflow="fold")
        lines: list[tuple[str, str | Text]] = [("", experiment.says)] if experiment.says else []
        for key in arms[0].values:
            labels = list(dict.fromkeys(value_label(arm.values[key]) for arm in arms))
            lines.append((key, value_names(key, labels)))
        lines.append(("arms", "; ".join(arm.label for arm in arms)))
        parts.append(Group(head, pairs(lines)))
    if plan.stacks:
        parts.append(_stacks(plan))
    totals: list[tuple[str, str | Text]] = [
        ("claims", text.count(len(study.claims))),
        ("seeds", f"{len(study.seeds)} ({seeds_label(study.seeds)})"),
        ("networks", f"{plan.num_networks:,}, each arm with each seed once"),
        ("to train", f"{num_missing:,} in {text.plural(len(plan.stacks), 'stack')}"),
    ]
    if num_missing:
        told = "unknown" if seconds is None else f"about {text.seconds(seconds)}"
        totals.append(("time", f"{told}, evaluation not counted"))
    parts.append(pairs(totals, indent=0))
    return stacked(parts)


def missing_lines(
    missing: Mapping[str, Sequence[int]], *, num_networks: int, at_most: int = 12
) -> list[str]:
    """Tells which networks of a study are missing; nothing where none is.

    Args:
        missing: Seeds by arm, as `bninit.analysis.accounts.missing_runs` has them.
        num_networks: Of the whole study.
        at_most: Arms that are named.
    """
    if not missing:
        return []
    num_missing = sum(map(len, missing.values()))
    lines = [f"missing: {num_missing:,} of {num_networks:,} networks"]
    named = list(missing.items())
    lines += [f"  {label} ({seeds_phrase(seeds)})" for label, seeds in named[:at_most]]
    if len(named) > at_most:
        lines.append(f"  and of {len(named) - at_most} more arms")
    return lines


def _stacks(plan: StudyPlan) -> Grid:
    """The stacks to be trained, those of one kind in a row."""
    columns = [
        Column(header="stacks", numeric=True),
        Column(header="networks\nin each", numeric=True),
        Column(header="epochs", numeric=True),
        Column(header="steps", numeric=True, rank=2),
        Column(header="network", rank=1),
    ]
    kinds = Counter(
        (
            str(len(stack)),
            text.count(stack[0].config.train.epochs),
            text.count(stack[0].config.train.epochs * stack[0].config.iterations_per_epoch),
            _network(stack[0].config),
        )
        for stack in plan.stacks
    )
    return Grid(columns, [(str(number), *kind) for kind, number in kinds.items()])


def _network(config: Config) -> str:
    model = config.model
    hidden = value_label(list(model.hidden))
    return f"{hidden}, {model.activation}, placement {model.norm.placement}"
