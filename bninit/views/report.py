"""The report of a study: one page that needs nothing but itself to be read."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bninit import __version__
from bninit.analysis.accounts import account, missing_runs
from bninit.analysis.provenance import Provenance, provenance
from bninit.config import study_to_yaml
from bninit.data.catalog import DATASETS
from bninit.errors import UserError
from bninit.nets.initialisers import SCHEMES
from bninit.store import atomic
from bninit.views import claim_words, text
from bninit.views.arm_looks import arm_colours
from bninit.views.report_entries import claim_entries, experiment_entry

if TYPE_CHECKING:
    from bninit.studies import StudyResult

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
        loader=PackageLoader("bninit.views", "templates"),
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
        name: account(name, says=experiment.says, arms=result.arms, runs=result.runs)
        for name, experiment in study.experiments.items()
    }
    yaml = study_to_yaml(study)
    outcomes = [found.verdict.outcome for found in result.claims]
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
    when = found.first or ""
    if found.first and found.last and found.first[:10] != found.last[:10]:
        when = f"{found.first[:10]} to {found.last[:10]}"
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
