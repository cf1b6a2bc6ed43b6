"""The report of a study: one HTML page that needs nothing but itself to be read."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bninit import __version__
from bninit.arms import ArmSummary
from bninit.config.identity import value_label
from bninit.data.catalog import DATASETS
from bninit.errors import UserError
from bninit.nets.initialisers import SCHEMES
from bninit.show import words as text
from bninit.show.charts import paint
from bninit.store import files
from bninit.verbs.study import words as claim_words
from bninit.verbs.study.charts import arm_colours, claim_picture, experiment_pictures
from bninit.verbs.study.contrast import Verdict
from bninit.verbs.study.evidence import (
    ExperimentSummary,
    held_settings,
    missing_runs,
    provenance,
    summarise_experiment,
)
from bninit.verbs.study.expand import value_labels
from bninit.verbs.study.load import study_to_yaml
from bninit.verbs.study.sentence import sentence

if TYPE_CHECKING:
    from bninit.verbs.study.run import StudyResult

FILE_NAME = "report.html"

SYMBOLS = {"supported": "\N{CHECK MARK}", "contradicted": "\N{BALLOT X}", "undecided": "?"}
"""Beside the word, so that a verdict is never told by colour alone."""


def write_report(result: StudyResult, *, path: str | os.PathLike[str]) -> Path:
    """Write the report of a study as one self-contained HTML file.

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
    environment.filters["paint"] = paint
    page = environment.get_template("report.html.j2").render(
        report_context(result), style=Markup(environment.get_template("report.css").render())
    )
    path = Path(path)
    if not path.name:
        raise UserError("this is a folder, not a file", where=f"--out {path}", hint="name a file")
    files.make_folder(path.parent)
    files.write_text(path, page)
    return path


def report_context(result: StudyResult) -> dict[str, Any]:
    """All that the page shows, as plain values; text is not escaped yet."""
    study = result.study
    colours = arm_colours(result.arms)
    experiments = {
        name: summarise_experiment(name, says=each.says, arms=result.arms, runs=result.runs)
        for name, each in study.experiments.items()
    }
    configs = [arm.config for arm in result.arms]
    data_sets = dict.fromkeys(config.data.name for config in configs)
    schemes = dict.fromkeys(config.model.init.scheme for config in configs)
    outcomes = [verdict.outcome for verdict in result.claims]
    yaml = study_to_yaml(study)
    return {
        "result": result,
        "study": study,
        "symbols": SYMBOLS,
        "counts": {each: outcomes.count(each) for each in claim_words.OUTCOMES},
        "num_networks": len({arm.id for arm in result.arms}) * len(study.seeds),
        "data_sets": [(name, DATASETS[name].title) for name in data_sets],
        "schemes": [SCHEMES[name] for name in schemes],
        "claims": [
            _claim(verdict, place, experiments[verdict.claim.experiment or ""], colours)
            for place, verdict in enumerate(result.claims, start=1)
        ],
        "experiments": [_experiment(each, colours) for each in experiments.values()],
        "missing": missing_runs(result.arms, runs=result.runs),
        "facts": _facts(result),
        "yaml": yaml,
        "yaml_base64": base64.b64encode(yaml.encode()).decode(),
        "written": datetime.now(UTC).strftime("%Y-%m-%d"),
        "version": __version__,
        "words": claim_words,
    }


def _claim(
    verdict: Verdict, place: int, experiment: ExperimentSummary, colours: Mapping[str, str]
) -> dict[str, Any]:
    """A claim with its verdict, and what the page shows beside them."""
    # Settings that the experiment varies, and all arms of the claim share, are held too.
    held = {**held_settings(verdict.arms), **experiment.held}
    slug = re.sub(r"[^A-Za-z0-9]+", "-", verdict.claim.id).strip("-").lower() or "x"
    return {
        "found": verdict,
        "sentence": sentence(verdict),
        "anchor": f"claim-{place}-{slug}",
        "says": experiment.says or experiment.name,
        "conditions": claim_words.conditions(held),
        "picture": claim_picture(verdict, colours=colours),
    }


def _experiment(summary: ExperimentSummary, colours: Mapping[str, str]) -> dict[str, Any]:
    """An experiment, its pictures, and the rows of its table."""
    config = summary.arms[0].config
    pictures, styles = experiment_pictures(summary, colours=colours)
    rows = []
    for arm in summary.arms:
        found = summary.summaries.get(arm.id)
        num_finished, num_seeds = found.num_runs if found else 0, len(config.train.seeds)
        is_whole = num_finished == num_seeds
        rows.append(
            {
                "style": styles[arm.id],
                "label": claim_words.arm_label(arm),
                "finished": str(num_finished) if is_whole else text.of(num_finished, num_seeds),
                "cells": _cells(found, num_targets=len(config.targets)),
            }
        )
    return {
        "summary": summary,
        "varied": value_labels(summary.arms),
        "held": [(key, value_label(value)) for key, value in summary.held.items()],
        "pictures": pictures,
        "targets": [text.target_percent(target) for target in config.targets],
        "rows": rows,
    }


def _cells(summary: ArmSummary | None, *, num_targets: int) -> list[str]:
    """The figures of an arm: test accuracy, gap, diverged, targets, time of an epoch."""
    if summary is None:
        return [text.MISSING] * (4 + num_targets)
    gap = summary.figures["generalization_gap"]
    reached = []
    for target in summary.targets:
        runs = text.of(target.num_reached, target.num_runs)
        median = target.medians["epochs_to_accuracy"]
        reached.append(runs if median is None else f"{runs} ({text.count(median)})")
    return [
        text.percent_with_sd(summary.figures["test_accuracy"]),
        text.MISSING if gap is None else f"{100 * gap.mean:.2f}",
        text.of(summary.num_diverged, summary.num_runs) if summary.num_diverged else "none",
        *reached,
        text.seconds(summary.median_seconds_per_epoch),
    ]


def _facts(result: StudyResult) -> list[tuple[str, str]]:
    """What the runs were made with, as names and values; unknown ones are left out."""
    call = ""
    if result.num_trained:
        trained = text.plural(result.num_trained, "network")
        call = f"{text.seconds(result.seconds)} for the last call, which trained {trained}"
    facts = {
        "networks": "",
        "seeds": claim_words.seeds_label(result.study.seeds),
        "training time": "",
        "wall-clock time": call,
        **provenance(result.runs, arms=result.arms),
    }
    return [(name, value) for name, value in facts.items() if value]
