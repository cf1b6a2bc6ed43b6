"""Claims about what probes measure: refused where a study takes none, with what to write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bninit.errors import ConfigError
from bninit.verbs.study.load import load_study, study_from_dict

CLAIM = {
    "id": "N18",
    "says": "It vanishes",
    "metric": "gradient_factor",
    "left": {"model.norm.placement": "none"},
    "right": {"model.norm.placement": "pre"},
    "expect": "less",
}
BASE = {"model": {"hidden": [4]}}
STUDY: dict[str, Any] = {
    "name": "s",
    "base": BASE,
    "seeds": 2,
    "experiments": {"e": {"over": {"model.norm.placement": ["none", "pre"]}}},
    "claims": [CLAIM],
}
ALONG = {**STUDY, "claims": [{**CLAIM, "metric": "loss_range_along_gradient"}]}


@pytest.mark.parametrize(
    ("study", "probes", "message"),
    [
        (STUDY, None, "gradient_factor is read from probes"),
        (STUDY, {"groups": ["signals"]}, "of gradients, and placement none has only signals"),
        (ALONG, None, "put probes: {groups: [landscape]} under base"),
        (ALONG, True, "add landscape to probes.groups"),
    ],
)
def test_a_claim_that_needs_probes_is_refused_where_they_are_not_taken(
    study: dict[str, Any], probes: object, message: str
) -> None:
    base = BASE if probes is None else {**BASE, "probes": probes}
    with pytest.raises(ConfigError) as caught:
        study_from_dict({**study, "base": base})
    (problem,) = caught.value.problems
    assert problem.key == "claims[0].metric"
    assert message in str(caught.value)


@pytest.mark.parametrize("probes", [True, {"groups": ["gradients"]}, {"units": 0}])
def test_and_loads_where_they_are(probes: object) -> None:
    study_from_dict({**STUDY, "base": {**BASE, "probes": probes}})
    of_experiment = {"e": {**STUDY["experiments"]["e"], "set": {"probes": probes}}}
    study_from_dict({**STUDY, "experiments": of_experiment})
    study_from_dict(STUDY, overrides=["probes=true"])
    along = {**ALONG, "base": {**BASE, "probes": {"groups": ["landscape"]}}}
    study_from_dict(along)


def test_probes_are_no_axis(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("name: s\nseeds: 1\nexperiments:\n  e: {over: {probes: [true, false]}}\n")
    with pytest.raises(ConfigError, match="makes no difference to what is trained"):
        load_study(path)
