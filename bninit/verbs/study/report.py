"""Claims and experiments as the page of a study shows them."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bninit import __version__
from bninit.arms import ArmSummary, TargetSummary
from bninit.config.identity import value_label
from bninit.data.catalog import DATASETS
from bninit.errors import UserError
from bninit.nets.initialisers import SCHEMES
from bninit.show import words as text
from bninit.store import files as atomic
from bninit.verbs.study import words as claim_words
from bninit.verbs.study.decide import Verdict
from bninit.verbs.study.evidence import (
    ExperimentSummary,
    Provenance,
    held_settings,
    missing_runs,
    provenance,
    summarise_experiment,
)
from bninit.verbs.study.expand import StudyArm
from bninit.verbs.study.load import study_to_yaml
from bninit.verbs.study.pictures import Picture, Swatch, arm_colours, draw_claim, draw_experiment

if TYPE_CHECKING:
    from bninit.verbs.study.run import StudyResult


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

    found: Verdict
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
    accounts: Mapping[str, ExperimentSummary],
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
        mine = accounts[found.claim.experiment or ""]
        number = claim_words.number_of(found)
        how = claim_words.print_of(found.metric)
        against = "" if number is None else f"{number * how.scale:g} {how.unit}".rstrip()
        held = {**mine.held, **_same_within(found.arms, mine)}
        entries.append(
            ClaimEntry(
                found=found,
                anchor=f"claim-{place}-{_slug(found.claim.id)}",
                effect=claim_words.effect(found),
                interval=claim_words.interval(found),
                level=claim_words.level(found),
                against=against,
                question=claim_words.question(found, against=against),
                averaged=_averaged(found),
                says=mine.says or mine.name,
                conditions=claim_words.conditions(held),
                seeds=claim_words.seeds_label(found.seeds),
                picture=draw_claim(found, colours=colours),
            )
        )
    return entries


def _same_within(arms: Sequence[StudyArm], mine: ExperimentSummary) -> dict[str, Any]:
    """Settings that the experiment varies, and all arms of a claim share."""
    return {key: value for key, value in held_settings(arms).items() if key not in mine.held}


def _averaged(found: Verdict) -> str:
    return "; ".join(
        f"{claim_words.axis_name(key)}: {claim_words.value_names(key, labels)}"
        for key, labels in found.averaged.items()
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


def experiment_entry(mine: ExperimentSummary, *, colours: Mapping[str, str]) -> dict[str, Any]:
    """An experiment as the page shows it.

    Args:
        mine: What became of it.
        colours: Of each arm, by arm id.
    """
    targets = mine.arms[0].config.targets
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
                swatch=pictures.swatches[each.id],
                finished=text.of(len(mine.seeds) - len(mine.missing[each.id]), len(mine.seeds))
                if mine.missing[each.id]
                else str(len(mine.seeds)),
                cells=_cells(mine.summaries.get(each.id), num_targets=len(targets)),
            )
            for each in mine.arms
        ],
        "num_unreadable": mine.num_unreadable,
    }


def _cells(summary: ArmSummary | None, *, num_targets: int) -> list[str]:
    if summary is None:
        return [text.MISSING] * (4 + num_targets)
    gap = summary.figures["generalization_gap"]
    return [
        text.percent_with_sd(summary.figures["test_accuracy"]),
        text.MISSING if gap is None else f"{100 * gap.mean:.2f}",
        text.of(summary.num_diverged, summary.num_runs) if summary.num_diverged else "none",
        *(_reached(target) for target in summary.targets),
        text.seconds(summary.median_seconds_per_epoch),
    ]


def _reached(target: TargetSummary) -> str:
    told = text.of(target.num_reached, target.num_runs)
    median = target.medians["epochs_to_accuracy"]
    return told if median is None else f"{told} ({text.count(median)})"


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower() or "x"


FILE_NAME = "report.html"

SYMBOLS = {"supported": "\N{CHECK MARK}", "contradicted": "\N{BALLOT X}", "undecided": "?"}
"""Beside the word, so that a verdict is never told by colour alone."""


def write_report(result: StudyResult, *, path: str | os.PathLike[str]) -> Path:
    """Writes the report of a study as one self-contained HTML file.

    Style sheet and pictures are in it, it has no scripts, and it forbids itself the network.

    Args:
        result: What the study found.
        path: The file; it appears whole.

    Returns:
        The file.

    Raises:
        StoreError: It cannot be written.
        UserError: It names no file.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("bninit.verbs.study", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["typeset"] = claim_words.typeset
    environment.filters["svg"] = Markup
    page = environment.get_template("report.html.j2").render(
        report_context(result), style=Markup(environment.get_template("report.css").render())
    )
    path = Path(path)
    if not path.name:
        raise UserError("this is a folder, not a file", where=f"--out {path}", hint="name a file")
    atomic.make_folder(path.parent)
    atomic.write_text(path, page)
    return path


def report_context(result: StudyResult) -> dict[str, Any]:
    """All that the page shows, as plain values; text is not escaped yet."""
    study = result.study
    colours = arm_colours(result.arms)
    accounts = {
        name: summarise_experiment(name, says=experiment.says, arms=result.arms, runs=result.runs)
        for name, experiment in study.experiments.items()
    }
    yaml = study_to_yaml(study)
    outcomes = [found.outcome for found in result.claims]
    return {
        "study": study,
        "title": study.title,
        "symbols": SYMBOLS,
        "counts": {each: outcomes.count(each) for each in claim_words.OUTCOMES},
        "num_networks": len({(arm.id, seed) for arm in result.arms for seed in study.seeds}),
        "num_finished": len(result.runs),
        "data_sets": [
            (name, DATASETS[name].title)
            for name in dict.fromkeys(arm.config.data.name for arm in result.arms)
        ],
        "schemes": [
            SCHEMES[name]
            for name in dict.fromkeys(arm.config.model.init.scheme for arm in result.arms)
        ],
        "claims": claim_entries(result, accounts, colours=colours),
        "experiments": [experiment_entry(each, colours=colours) for each in accounts.values()],
        "missing": _missing(result),
        "failures": [failure.why for failure in result.failures],
        "facts": _facts(provenance(result.runs, arms=result.arms), result),
        "seeds": claim_words.seeds_label(study.seeds),
        "num_seeds": len(study.seeds),
        "file_name": f"{study.name}.yaml",
        "yaml": yaml,
        "yaml_base64": base64.b64encode(yaml.encode()).decode(),
        "written": datetime.now(UTC).strftime("%Y-%m-%d"),
        "version": __version__,
    }


def _missing(result: StudyResult) -> list[str]:
    return [
        f"{label} ({claim_words.seeds_phrase(seeds)})"
        for label, seeds in missing_runs(result.arms, runs=result.runs).items()
    ]


def _facts(found: Provenance, result: StudyResult) -> list[tuple[str, str]]:
    """What the runs were made with, as names and values; unknown ones are left out."""
    versions = ", ".join(f"{name} {' and '.join(v)}" for name, v in found.versions.items())
    when = found.started[0] if found.started else ""
    if found.started and found.started[0][:10] != found.started[-1][:10]:
        when = f"{found.started[0][:10]} to {found.started[-1][:10]}"
    call = ""
    if result.num_trained:
        trained = text.plural(result.num_trained, "network")
        call = f"{text.seconds(result.seconds)} for the last call, which trained {trained}"
    facts = [
        ("networks", f"{found.num_runs:,} trained, {found.num_diverged} of them diverged"),
        ("seeds", claim_words.seeds_label(result.study.seeds)),
        ("training time", f"{text.seconds(found.train_seconds)}, evaluation not counted"),
        ("wall-clock time", call),
        ("trained", when[:10] if len(when) > 24 else when),
        ("device", _several(found.devices)),
        ("processor", _several(found.cpus)),
        ("threads", _several(found.threads)),
        ("operating system", _several(found.platforms)),
        ("versions", versions),
        ("code", _several(f"git commit {commit}" for commit in found.commits)),
        *((f"data: {name}", f"SHA-256 {_several(sums)}") for name, sums in found.checksums.items()),
        ("not known", f"of {found.num_unknown} runs" if found.num_unknown else ""),
    ]
    return [(name, value) for name, value in facts if value.strip()]


def _several(values: Iterable[str]) -> str:
    return "; ".join(values)
