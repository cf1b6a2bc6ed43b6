"""Study files: what loads, what is told of what does not, and at which line."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

from bninit.config import Override
from bninit.config.source import Place
from bninit.config.yaml_source import parse_yaml
from bninit.errors import ConfigError
from bninit.fields import Plain
from bninit.verbs.study.expand import expand
from bninit.verbs.study.load import load_study, study_from_dict, study_to_yaml
from bninit.verbs.study.schema import StudyConfig

NOTES = """\
name: notes
title: The lecture notes, decided by data
base:
  data: {name: mnist}
  model: {hidden: [100, 100, 100]}
  train: {epochs: 3, batch_size: 128}
seeds: 10
targets: [0.97, 0.95]
experiments:
  placement:
    says: Where batch norm stands, everything else equal
    set: {train.epochs: 5}
    over: {model.norm.placement: [none, pre, post], optim.lr: [0.1, 0.5]}
    also: [{model.norm.placement: pre, model.norm.input: true}]
    exclude: [{model.norm.placement: post, optim.lr: 0.5}]
  schemes:
    over:
      model.init: [{scheme: zeros}, {scheme: normal, std: 0.01}, {scheme: he_normal}]
      model.norm.placement: [none, pre]
claims:
  - id: N11a
    says: Batch normalization reaches 97 % in fewer epochs
    in: placement
    metric: epochs_to_accuracy
    target: 0.97
    left: {model.norm.placement: pre}
    right: {model.norm.placement: none}
    expect: less
    margin: 0.5
    given: {optim.lr: 0.1, model.norm.input: false}
  - id: N11c
    says: The scheme matters less
    in: schemes
    metric: test_accuracy
    spread: model.init
    left: {model.norm.placement: pre}
    right: {model.norm.placement: none}
    expect: less
  - {id: chance, says: Zeros stay at chance, in: schemes, metric: test_accuracy,
     left: {model.init: {scheme: zeros}}, right: 0.11, tolerance: 0.02, expect: equal}
  - {id: rate, says: A higher rate is better, in: placement, metric: test_accuracy,
     left: {model.norm: {placement: pre, input: false}}, trend: optim.lr, expect: increasing}
"""


def load(tmp_path: Path, text: str, *overrides: str | Override) -> StudyConfig:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return load_study(path, overrides=overrides)


@dataclass(frozen=True)
class Told:
    """A problem as tests compare it: line (None for an option), key, text with the hint."""

    line: int | None
    key: str
    text: str


def told(tmp_path: Path, text: str, *overrides: str) -> list[Told]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, textwrap.dedent(text), *overrides)
    found = []
    for problem in caught.value.problems:
        line = re.fullmatch(r".*study\.yaml:([0-9]+)", problem.where)
        text = problem.what + (f" | {problem.hint}" if problem.hint else "")
        found.append(Told(int(line[1]) if line else None, problem.key, text))
    return found


def plain(text: str) -> dict[str, Plain]:
    value = parse_yaml(text, place=Place("text")).value
    assert isinstance(value, dict)
    return value


def of_experiment(body: str, *, claims: str = "", base: str = "{}") -> str:
    """A study of one experiment `e`, whose body starts on line 6; claims follow it."""
    text = f"name: s\nbase: {base}\nseeds: 2\nexperiments:\n  e:\n"
    text += textwrap.indent(textwrap.dedent(body).strip("\n"), "    ") + "\n"
    return text + (f"claims:\n{textwrap.indent(textwrap.dedent(claims), '  ')}" if claims else "")


def test_a_whole_study_loads(tmp_path: Path) -> None:
    study = load(tmp_path, NOTES)

    assert study.title == "The lecture notes, decided by data"
    assert study.seeds == tuple(range(10))
    assert study.targets == (0.95, 0.97)
    assert len(expand(study)) == (3 * 2 - 1 + 1) + 3 * 2
    assert [claim.shape for claim in study.claims] == ["sides", "spread", "number", "trend"]
    assert [claim.signed_margin for claim in study.claims] == [0.5, 0.0, 0.02, 0.0]
    experiments = [claim.experiment for claim in study.claims]
    assert experiments == ["placement", "schemes", "schemes", "placement"]


def test_it_reads_back_as_it_was_written(tmp_path: Path) -> None:
    study = load(tmp_path, NOTES)
    again = load(tmp_path, study_to_yaml(study))
    assert again == study
    assert expand(again) == expand(study)
    assert "seeds: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]" in study_to_yaml(study)


def test_short_studies_have_defaults(tmp_path: Path) -> None:
    claim = """
    - id: 1a
      says: |
        On two
        lines
      metric: diverged
      left: {optim.lr: 1}
      right: {optim.lr: 0.1}
      expect: greater
    """
    text = of_experiment("over: {optim.lr: [1.0, 0.1]}", claims=textwrap.dedent(claim))
    study = load(tmp_path, text)

    assert study.title == "s"
    assert study.targets == (0.95, 0.97, 0.98)
    assert study.claims[0].experiment == "e"
    assert study.claims[0].says == "On two lines"
    assert not study.claims[0].required
    assert load(tmp_path, study_to_yaml(study)) == study


def test_all_faults_are_told_at_once_each_at_its_line(tmp_path: Path) -> None:
    found = told(
        tmp_path,
        """\
        name: bad study
        base:
          data: {name: mnst}
          train: {seeds: 5, epochs: 3}
        seeds: 3
        experiments:
          a:
            set: {train.epocs: 5, train: {batch_size: 64}, train.batch_size: 32}
            over:
              model.nrom.placement: [none, pre, post]
              optim.lr:
              - 0.1
              - -1
              - fast
          B_c:
            over: {model.init.scheme: [zeros]}
          d:
            over: {model.init.scheme: zeros}
            also: [{train.device: cpu}, 3, {optim.lr: x}]
        claims:
        - {id: A, says: s, in: aa, metric: tst_accuracy, left: {model.norm.placment: pre},
           right: {model.norm.placement: prr}, expect: less}
        - {id: A, says: s, in: d, metric: epochs_to_accuracy, right: 0.1, expect: equals}
        - {id: C, says: s, metric: diverged, target: 97, right: 0.1, expect: less}
        """,
    )
    assert [(each.line, each.key) for each in found] == [
        (1, "name"),
        (3, "base.data.name"),
        (4, "base.train.seeds"),
        (8, "experiments.a.set.train.epocs"),
        (8, "experiments.a.set.train.batch_size"),
        (10, "experiments.a.over.model.nrom.placement"),
        (13, "experiments.a.over.optim.lr[1]"),
        (14, "experiments.a.over.optim.lr[2]"),
        (15, "experiments.B_c"),
        (18, "experiments.d.over.model.init.scheme"),
        (19, "experiments.d.also[0].train.device"),
        (19, "experiments.d.also[1]"),
        (19, "experiments.d.also[2].optim.lr"),
        (21, "claims[0].in"),
        (21, "claims[0].metric"),
        (21, "claims[0].left.model.norm.placment"),
        (22, "claims[0].right.model.norm.placement"),
        (23, "claims[1].id"),
        (23, "claims[1].metric"),
        (23, "claims[1].expect"),
        (24, "claims[2].in"),
        (24, "claims[2].target"),
    ]
    texts = {each.key: each.text for each in found}
    assert "did you mean mnist?" in texts["base.data.name"]
    assert "did you mean epochs?" in texts["experiments.a.set.train.epocs"]
    assert "given twice, first on line 8" in texts["experiments.a.set.train.batch_size"]
    assert "did you mean norm?" in texts["experiments.a.over.model.nrom.placement"]
    assert "-1 is out of range | more than 0" in texts["experiments.a.over.optim.lr[1]"]
    assert "did you mean test_accuracy?" in texts["claims[0].metric"]
    assert "did you mean placement?" in texts["claims[0].left.model.norm.placment"]
    assert "did you mean pre?" in texts["claims[0].right.model.norm.placement"]
    assert "needs a target" in texts["claims[1].metric"]
    assert "write 0.97" in texts["claims[2].target"]


STUDY = "name: s\nseeds: 2\n"


@pytest.mark.parametrize(
    ("text", "key", "part"),
    [
        ("", "", "nothing is in it"),
        (STUDY, "experiments", "this key is missing"),
        (STUDY + "experiments: {}\n", "experiments", "at least 1"),
        (STUDY + "experiments: 3\n", "experiments", "not a mapping"),
        (STUDY + "experiments: {e: {over: 3}}\n", "experiments.e.over", "mapping"),
        (STUDY + "experiments: {e: {ower: {}}}\n", "experiments.e.ower", "mean over?"),
        ("name: s\nexperiments: {e: {}}\n", "seeds", "this key is missing"),
        ("name: s\nseeds: 0\nexperiments: {e: {}}\n", "seeds", "allowed: a count"),
        (STUDY + "experiments: {e: {}}\nover: 3\n", "over", "experiments.NAME.over"),
        ("schema_version: 99\n" + STUDY + "experiments: {e: {}}\n", "schema_version", "newer"),
    ],
)
def test_faults_of_the_file(tmp_path: Path, text: str, key: str, part: str) -> None:
    (found,) = told(tmp_path, text)
    assert found.key == key
    assert part in found.text


TWO_PLACEMENTS = "over: {model.init.scheme: [he_normal, kaiming_normal], optim.lr: [1.0, 2.0]}"


@pytest.mark.parametrize(
    ("body", "base", "line", "key", "part"),
    [
        ("over: {optim.lr: []}", "", 6, "over.optim.lr", "at least 1"),
        ("over: {optim..lr: [1]}", "", 6, "over.optim..lr", "is not a key"),
        ("over: {train.seeds: [1]}", "", 6, "over.train.seeds", "cannot set train.seeds"),
        ("over: {train: [{seeds: 2}]}", "", 6, "over.train", "cannot set train.seeds"),
        ("set: {targets: [0.5]}", "", 6, "set.targets", "cannot set targets"),
        ("over: {train.device: [cpu]}", "", 6, "over.train.device", "no difference"),
        ("over: {probes: [true, false]}", "", 6, "over.probes", "no difference"),
        ("over:\n  optim: [{lr: 1.0}]\n  optim.lr: [0.1]", "", 8, "over.optim.lr", "overlaps with"),
        ("over: {optim.lr: [0.1, 1e-1]}", "", 6, "over.optim.lr[1]", "same as value 1"),
        (TWO_PLACEMENTS, "", 6, "over.model.init.scheme[1]", "same as value 1"),
        ("over: {optim.lr: [0.1]}\nalso: [{optim.lr: 0.1}]", "", 7, "also[0]", "already (lr 0.1)"),
        ("exclude: [{optim.lr: 3}]", "", 6, "exclude[0]", "no combination"),
        ("exclude: [{optim.lrr: 3}]", "", 6, "exclude[0].optim.lrr", "did you mean lr?"),
        ("exclude: [{optim.betas: x}]", "", 6, "exclude[0].optim.betas", "not a list"),
        ("over: {optim.lr: [3]}\nexclude: [{optim.lr: 3}]", "", 7, "exclude", "no arms are left"),
        # The last layer is to blame for what does not fit.
        ("over:\n  model.hidden:\n  - [5]\n  - []", "model.norm.placement: pre",
         9, "over.model.hidden[1]", "model.norm.placement: pre has no place"),
        ("set: {model.hidden: []}", "model: {norm: {placement: pre}}",
         6, "set.model.hidden", "model.norm.placement: pre has no place"),
        ("over: {model.init.scheme: [normal]}", "",
         6, "over.model.init.scheme[0]", "model.init.std: normal needs this key"),
        ("over: {model.init: [{scheme: zeros, std: 1}]}", "",
         6, "over.model.init[0].std", "zeros does not take this key"),
        ("also: [{model.norm.placement: pre, model.hidden: []}]", "",
         6, "also[0].model.norm.placement", "pre has no place"),
    ],
)  # fmt: skip
def test_faults_of_an_experiment(
    tmp_path: Path, body: str, base: str, line: int, key: str, part: str
) -> None:
    (found,) = told(tmp_path, of_experiment(body, base=f"{{{base}}}"))
    assert (found.line, found.key) == (line, f"experiments.e.{key}")
    assert part in found.text


def test_a_fault_of_the_base_is_told_once_and_not_for_each_arm(tmp_path: Path) -> None:
    found = told(
        tmp_path,
        NOTES.replace("hidden: [100, 100, 100]", "hidden: [0]").replace("epochs: 3", "epochs: x"),
    )
    assert [(each.line, each.key) for each in found] == [
        (5, "base.model.hidden[0]"),
        (6, "base.train.epochs"),
    ]


def test_a_section_that_is_no_mapping_is_told_whatever_is_laid_over_it(tmp_path: Path) -> None:
    (found,) = told(tmp_path, of_experiment("set: {train.epochs: 2}", base="{train: 5}"))
    assert (found.line, found.key) == (2, "base.train")


def test_each_faulty_value_is_told_among_hundreds_of_faulty_arms(tmp_path: Path) -> None:
    sizes = list(range(2, 22))
    axes = f"optim.lr: [-1], train.epochs: {sizes}, train.batch_size: {sizes}"
    found = told(tmp_path, of_experiment(f"over: {{model.activation: [relu, nope], {axes}}}"))
    keys = [each.key for each in found]
    assert keys == [f"experiments.e.over.{key}" for key in ("model.activation[1]", "optim.lr[0]")]


def test_values_that_do_not_go_together_are_told_once_for_each_pair(tmp_path: Path) -> None:
    body = """
    over:
      optim.lr: [0.1, 0.2, 0.3]
      model.hidden: [[5], []]
      model.norm.placement: [none, pre, post]
    """
    found = told(tmp_path, of_experiment(body))
    assert [(each.line, each.key) for each in found] == [
        (9, "experiments.e.over.model.norm.placement[1]"),
        (9, "experiments.e.over.model.norm.placement[2]"),
    ]
    assert "exclude {model.norm.placement: 'pre', model.hidden: []}" in found[0].text

    several = told(
        tmp_path, of_experiment("over: {optim.momentum: [0.5], optim.name: [sgd, adam, adamw]}")
    )
    assert [each.key for each in several] == ["experiments.e.over.optim.momentum[0]"] * 2

    exclude = "exclude: [{model.norm.placement: pre, model.hidden: []}]"
    (left,) = told(tmp_path, of_experiment(textwrap.dedent(body) + exclude))
    assert left.key == "experiments.e.over.model.norm.placement[2]"


def test_a_section_that_only_arms_complete_is_fine_in_the_base(tmp_path: Path) -> None:
    text = of_experiment("over: {model.init.std: [0.1, 1.0]}", base="{model.init.scheme: normal}")
    assert [arm.config.model.init.std for arm in expand(load(tmp_path, text))] == [0.1, 1.0]


def test_the_number_of_arms_is_bounded(tmp_path: Path) -> None:
    values = "[" + ", ".join(str(value + 1) for value in range(101)) + "]"
    body = f"over: {{train.epochs: {values}, train.batch_size: {values}}}"
    (found,) = told(tmp_path, of_experiment(body))
    assert (found.line, found.key) == (6, "experiments.e.over")
    assert "10201 arms" in found.text
    assert "more than 10000" in found.text


CLAIM = "- {id: c, says: s, metric: test_accuracy, "
GRID = "over: {model.norm.placement: [none, pre], optim.lr: [0.1, 0.5], optim.name: [sgd, adam]}"
PRE, NONE = "{model.norm.placement: pre}", "{model.norm.placement: none}"
BOTH = f"left: {PRE}, right: {NONE}"


@pytest.mark.parametrize(
    ("claim", "key", "part"),
    [
        (f"{BOTH}, expect: equal", "margin", "needs a margin above 0"),
        (f"{BOTH}, expect: less, tolerance: 1", "tolerance", "use margin"),
        (f"{BOTH}, expect: less, margin: -1", "margin", "at least 0"),
        (f"left: {PRE}, expect: less", "right", "a partial arm"),
        (f"left: {PRE}, right: pre, expect: less", "right", "neither a mapping"),
        (f"left: {PRE}, right: .inf, expect: less", "right", "out of range"),
        (f"left: {PRE}, right: 0.1, expect: equal", "tolerance", "needs a tolerance above 0"),
        (f"left: {PRE}, right: 1, expect: equal, margin: 1", "margin", "has a tolerance"),
        (f"left: {PRE}, right: 1, expect: less, margin: 1, tolerance: 1", "margin", "not both"),
        (f"{BOTH}, expect: increasing", "expect", "is for a trend"),
        (f"left: {PRE}, trend: optim.lr, expect: less", "trend", "a trend is not less"),
        (f"{BOTH}, trend: optim.lr, expect: decreasing", "right", "one side"),
        ("trend: optim.lr, spread: optim.lr, expect: decreasing", "trend", "not both"),
        (f"left: {PRE}, right: 0.1, spread: optim.lr, expect: less", "right", "another one"),
        (f"{BOTH}, spread: optim.lr, expect: equal, margin: 1", "expect", "allowed: less, greater"),
        (f"{BOTH}, expect: less, target: 0.5", "target", "takes no target"),
        (f"in: f, {BOTH}, expect: less", "in", "allowed: e"),
        # Sides.
        ("left: {model.norm.placement: post}, right: 1, expect: less",
         "left.model.norm.placement", "its arms have: none, pre"),
        (f"{BOTH}, given: {{optim.lr: 3}}, expect: less", "given.optim.lr", "have: 0.1, 0.5"),
        (f"{BOTH}, given: {PRE}, expect: less", "right", "all of these values and those given"),
        (f"left: {PRE}, right: {PRE}, expect: less", "right", "both sides have the arm"),
        (f"left: {PRE}, right: {{optim.lr: 0.1}}, expect: less", "right", "and 1 more"),
        (f"left: {PRE}, right: {{model.norm.placement: none, optim.lr: 0.1}}, expect: less",
         "left", "leaves optim.lr open"),
        (f"{BOTH}, spread: optim.momentum, expect: less", "spread", "not an axis of e"),
        (f"{BOTH}, spread: optim..lr, expect: less", "spread", "not a key"),
        (f"{BOTH}, spread: optim.lrr, expect: less", "spread", "optim.lr?"),
        ("left: {optim.lr: 0.1}, trend: optim.lr, expect: increasing", "trend", "at least two"),
        (f"left: {PRE}, trend: optim.name, expect: increasing", "trend", "no order: sgd, adam"),
    ],
)  # fmt: skip
def test_faults_of_a_claim(tmp_path: Path, claim: str, key: str, part: str) -> None:
    (found,) = told(tmp_path, of_experiment(GRID, claims=f"{CLAIM}{claim}}}\n"))
    assert (found.line, found.key) == (8, f"claims[0].{key}")
    assert part in found.text


def test_sides_of_one_arm_are_refused_though_their_keys_differ(tmp_path: Path) -> None:
    body = "over: {model.norm.placement: [none, pre], model.norm.momentum: [0.1, 0.5]}"
    claim = CLAIM + "left: {model.norm.momentum: 0.1}, right: {model.norm.momentum: 0.5}, "
    (found,) = told(tmp_path, of_experiment(body, claims=claim + "expect: less}\n"))
    assert "both sides have the arm placement none, momentum 0.5" in found.text
    text = of_experiment(body, claims=claim + f"given: {PRE}, expect: less}}\n")
    assert load(tmp_path, text).claims[0].given


def test_unbalanced_sides_say_what_is_missing_and_how_to_mend_it(tmp_path: Path) -> None:
    body = """
    over: {model.norm.placement: [none, pre], optim.lr: [0.1, 0.5]}
    also: [{model.norm.placement: pre, model.norm.input: true}]
    exclude: [{model.norm.placement: none, optim.lr: 0.5}]
    """
    claim = CLAIM + f"left: {PRE}, right: {NONE}, given: {{model.norm.input: false}}, "
    (found,) = told(tmp_path, of_experiment(body, claims=claim + "expect: less}\n"))
    assert (found.line, found.key) == (10, "claims[0].right")
    assert "the right side has no arm with lr 0.5" in found.text
    assert "put optim.lr: 0.1 under given" in found.text

    plain = "given: {model.norm.input: false}"
    claim = CLAIM + f"left: {PRE}, right: {NONE}, {plain}, spread: optim.lr, expect: less}}\n"
    (found,) = told(tmp_path, of_experiment(body, claims=claim))
    assert (found.key, "no arm with input false, lr 0.5" in found.text) == ("claims[0].right", True)

    claim = CLAIM + f"{plain}, trend: optim.lr, expect: increasing}}\n"
    (found,) = told(tmp_path, of_experiment(body, claims=claim))
    assert found.key == "claims[0].left"
    assert "no arm with placement none, input false, lr 0.5" in found.text


def test_the_restriction_that_is_proposed_balances_the_sides(tmp_path: Path) -> None:
    arms = [("pre", 0.1, 1), ("pre", 0.1, 2), ("none", 0.1, 1), ("none", 0.5, 3)]
    keys = ("model.norm.placement", "optim.lr", "train.epochs")
    also = [dict(zip(keys, arm, strict=True)) for arm in arms]
    claim = {"id": "c", "says": "s", "metric": "test_loss", "expect": "less"}
    claim |= {"left": {keys[0]: "pre"}, "right": {keys[0]: "none"}}
    values = {"name": "s", "seeds": 1, "experiments": {"e": {"also": also}}, "claims": [claim]}
    with pytest.raises(ConfigError, match=r"put train\.epochs: 1 under given"):
        study_from_dict(values)


def test_the_experiment_may_be_left_out_only_when_there_is_one(tmp_path: Path) -> None:
    text = of_experiment("{}", claims=CLAIM + "right: 0.5, expect: less}\n")
    assert load(tmp_path, text).claims[0].experiment == "e"
    (found,) = told(tmp_path, text.replace("  e:\n", "  f: {}\n  e:\n"))
    assert found.key == "claims[0].in"
    assert "there are 2 experiments" in found.text


def test_claims_of_a_damaged_experiment_are_not_held_against_it(tmp_path: Path) -> None:
    text = NOTES.replace("over: {model.norm.placement: [none, pre, post]", "over: {a.b: [1]")
    assert [each.key for each in told(tmp_path, text)] == ["experiments.placement.over.a.b"]


@pytest.mark.parametrize(
    ("metric", "probes", "part"),
    [
        ("gradient_factor", "false", "gradient_factor is read from probes"),
        ("gradient_factor", "{groups: [signals]}", "of gradients, and lr 0.1 has only signals"),
        ("loss_range_along_gradient", "false", "put probes: {groups: [landscape]} under base"),
        ("loss_range_along_gradient", "true", "add landscape to probes.groups"),
        ("gradient_factor", "true", ""),
        ("gradient_factor", "{units: 0}", ""),
        ("loss_range_along_gradient", "{groups: [landscape]}", ""),
    ],
)
def test_claims_about_what_probes_measure(
    tmp_path: Path, metric: str, probes: str, part: str
) -> None:
    claim = (
        f"- {{id: c, says: s, metric: {metric}, left: {{optim.lr: 0.1}}, right: 1, expect: less}}"
    )
    over = "over: {optim.lr: [0.1, 0.2]}"
    for text in (
        of_experiment(over, claims=claim, base=f"{{probes: {probes}}}"),
        of_experiment(f"set: {{probes: {probes}}}\n{over}", claims=claim),
    ):
        if part:
            (found,) = told(tmp_path, text)
            assert found.key == "claims[0].metric"
            assert part in found.text
        else:
            load(tmp_path, text)


@pytest.mark.parametrize(
    ("body", "base"),
    [
        ("set: {train.epochs: 5}", "{}"),
        ("set: {train: {epochs: 5, batch_size: 32}}", "{train.epochs: 3}"),
        ("over: {optim.lr: [0.1]}", "{train: {epochs: 3}}"),
        ("set: {train: null}", "{train.epochs: 3}"),
    ],
)
def test_an_option_for_a_config_key_wins_over_base_and_set(
    tmp_path: Path, body: str, base: str
) -> None:
    study = load(tmp_path, of_experiment(body, base=base), "train.epochs=1")
    (arm,) = expand(study)
    assert arm.config.train.epochs == 1
    assert arm.config.train.batch_size == (32 if "32" in body else 128)
    assert load(tmp_path, study_to_yaml(study)) == study


def test_options_change_the_study_too(tmp_path: Path) -> None:
    study = load(tmp_path, NOTES, "seeds=3", "title=Short", "targets=[0.5]")
    assert (study.seeds, study.title, study.targets) == ((0, 1, 2), "Short", (0.5,))
    study = load(tmp_path, NOTES, Override("train.seeds", [4, 2], "--seeds 4,2"))
    assert study.seeds == (4, 2)


@pytest.mark.parametrize(
    ("option", "key", "part"),
    [
        ("optim.lr=3", "optim.lr", "'placement' varies this key"),
        ("model={}", "model", "'placement' varies this key"),
        ("train.batch_size=x", "base.train.batch_size", "the text 'x' is not a whole number"),
        ("train.epoch=3", "base.train.epoch", "did you mean epochs?"),
        ("foo=3", "foo", "unknown key"),
        ("seeds=x", "seeds", "neither a count nor a list"),
    ],
)
def test_faults_of_options_name_the_option(
    tmp_path: Path, option: str, key: str, part: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, NOTES, option)
    problem = caught.value.problems[0]
    assert (problem.where, problem.key) == (f"--set {option}", key)
    assert part in f"{problem.what} {problem.hint}"
