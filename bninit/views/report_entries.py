"""Claims and experiments as the page of a study shows them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bninit.analysis.accounts import ArmAccount, ExperimentAccount, held_settings
from bninit.analysis.arms import TargetSummary
from bninit.analysis.claims import ClaimResult
from bninit.analysis.portraits import Portrait, portrait
from bninit.config import StudyArm
from bninit.config.labels import value_label
from bninit.views import claim_words, text
from bninit.views.claim_pictures import Picture, draw_claim
from bninit.views.experiment_pictures import Swatch, draw_experiment

if TYPE_CHECKING:
    from bninit.studies import StudyResult


@dataclass(frozen=True, kw_only=True)
class ClaimEntry:
    """A claim on the page.

    Attributes:
        found: The verdict.
        anchor: Its place on the page.
        effect: With its sign and unit.
        interval: Without unit; empty where there is none.
        level: Of the interval.
        against: The number that the left side is held against, with its unit; or empty.
        question: What is measured on which sides, and what is expected.
        averaged: What is averaged over within a seed, in words.
        says: The experiment's line.
        conditions: What was held in the experiment.
        seeds: Those used, in short.
        picture: With its caption; None without data.
    """

    found: ClaimResult
    anchor: str
    effect: str
    interval: str
    level: str
    against: str
    question: str
    averaged: str
    says: str
    conditions: Sequence[str]
    seeds: str
    picture: Picture | None


def claim_entries(
    result: StudyResult,
    accounts: Mapping[str, ExperimentAccount],
    *,
    colours: Mapping[str, str],
) -> list[ClaimEntry]:
    """The claims of a study as the page shows them.

    Args:
        result: What the study found.
        accounts: Of its experiments, by name.
        colours: Of each arm, by arm id.
    """
    entries = []
    for place, found in enumerate(result.claims, start=1):
        shown = portrait(found, arms=result.arms)
        mine = accounts[found.claim.experiment or ""]
        number = claim_words.number_of(found)
        how = claim_words.print_of(found.metric)
        against = "" if number is None else f"{number * how.scale:g} {how.unit}".rstrip()
        sides = [*shown.left.arms, *(shown.right.arms if shown.right else ())]
        held = {**mine.held, **_same_within(sides, mine)}
        entries.append(
            ClaimEntry(
                found=found,
                anchor=f"claim-{place}-{_slug(found.claim.id)}",
                effect=claim_words.effect(found),
                interval=claim_words.interval(found),
                level=claim_words.level(found),
                against=against,
                question=claim_words.question(found, against=against),
                averaged=_averaged(shown),
                says=mine.says or mine.name,
                conditions=claim_words.conditions(held),
                seeds=claim_words.seeds_label(found.seeds),
                picture=draw_claim(found, shown, colours=colours),
            )
        )
    return entries


def _same_within(arms: Sequence[StudyArm], mine: ExperimentAccount) -> dict[str, Any]:
    """Settings that the experiment varies, and all arms of a claim share."""
    return {key: value for key, value in held_settings(arms).items() if key not in mine.held}


def _averaged(shown: Portrait) -> str:
    return "; ".join(
        f"{claim_words.axis_name(key)}: {claim_words.value_names(key, labels)}"
        for key, labels in shown.averaged.items()
    )


@dataclass(frozen=True, kw_only=True)
class ArmRow:
    """An arm in an experiment's table.

    Attributes:
        swatch: Its look and label.
        finished: How many of its seeds are there.
        cells: The other columns.
    """

    swatch: Swatch
    finished: str
    cells: Sequence[str]


def experiment_entry(mine: ExperimentAccount, *, colours: Mapping[str, str]) -> dict[str, Any]:
    """An experiment as the page shows it.

    Args:
        mine: What became of it.
        colours: Of each arm, by arm id.
    """
    targets = mine.arms[0].arm.config.targets
    pictures = draw_experiment(mine, colours=colours)
    return {
        "name": mine.name,
        "says": mine.says,
        "anchor": f"experiment-{mine.name}",
        "varied": [
            (claim_words.axis_name(key), key, claim_words.value_names(key, labels))
            for key, labels in mine.varied.items()
        ],
        "conditions": claim_words.conditions(mine.held),
        "held": [(key, value_label(value)) for key, value in mine.held.items()],
        "seeds": claim_words.seeds_label(mine.seeds),
        "pictures": pictures,
        "targets": [text.target_percent(target) for target in targets],
        "rows": [
            ArmRow(
                swatch=pictures.swatches[each.arm.id],
                finished=text.of(len(mine.seeds) - len(each.missing_seeds), len(mine.seeds))
                if each.missing_seeds
                else str(len(mine.seeds)),
                cells=_cells(each, num_targets=len(targets)),
            )
            for each in mine.arms
        ],
        "num_unreadable": mine.num_unreadable,
    }


def _cells(each: ArmAccount, *, num_targets: int) -> list[str]:
    summary = each.summary
    if summary is None:
        return [text.MISSING] * (4 + num_targets)
    gap = summary.generalization_gap
    return [
        text.percent_with_sd(summary.test_accuracy),
        text.MISSING if gap is None else f"{100 * gap.mean:.2f}",
        text.of(summary.num_diverged, summary.num_runs) if summary.num_diverged else "none",
        *(_reached(target) for target in summary.targets),
        text.seconds(summary.median_seconds_per_epoch),
    ]


def _reached(target: TargetSummary) -> str:
    told = text.of(target.num_reached, target.num_runs)
    if target.median_epochs is None:
        return told
    return f"{told} ({text.count(target.median_epochs)})"


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower() or "x"
