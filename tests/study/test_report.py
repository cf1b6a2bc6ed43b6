"""The page of a study: what it says, that it is sound HTML, and that nothing in it is markup."""

from __future__ import annotations

import base64
import dataclasses
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bninit.verbs.study.report import write_report
from bninit.verbs.study.sentence import sentence

if TYPE_CHECKING:
    from bninit.verbs.study.contrast import Side
    from bninit.verbs.study.run import StudyResult

VOID = {"meta", "link", "br", "img", "line", "rect", "circle", "path"}


class Page(HTMLParser):
    """A page taken apart; every tag must be closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1] == tag, f"{tag} closes {self.open}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def words(self) -> str:
        """The text, with plain spaces and minus signs."""
        joined = " ".join(" ".join(self.text).split())
        return joined.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")


@pytest.fixture(scope="module")
def page(tiny_study: StudyResult, tmp_path_factory: pytest.TempPathFactory) -> Page:
    path = tmp_path_factory.mktemp("page") / "new" / "report.html"
    assert write_report(tiny_study, path=path) == path
    return Page(path.read_text(encoding="utf-8"))


def test_what_stands_in_a_study_is_never_markup(page: Page) -> None:
    assert not page.all("script")
    assert not page.all("img")
    assert "A <script>alert('title')</script> & study" in page.words
    assert "</td><script>alert(2)</script>" in page.words
    assert "<img src=x onerror=alert(1)>" in page.words
    assert not [key for _, attributes in page.tags for key in attributes if key.startswith("on")]


def test_it_needs_nothing_but_itself(page: Page) -> None:
    targets = [a[key] for _, a in page.tags for key in ("href", "src", "srcset") if key in a]
    assert targets
    assert all(target.startswith(("#", "data:")) for target in targets)
    assert "url(" not in page.html
    assert "@import" not in page.html
    (policy,) = [each for each in page.all("meta") if "http-equiv" in each]
    assert policy["content"].startswith("default-src 'none'")


def test_every_claim_is_told_with_its_numbers(page: Page, tiny_study: StudyResult) -> None:
    for found in tiny_study.claims:
        assert page.words.count(sentence(found)) == 2, "in the table and beside the picture"
        assert page.words.count(found.claim.says) >= 2
    outcomes = Counter(found.outcome for found in tiny_study.claims)
    assert set(outcomes) == {"supported", "contradicted", "undecided"}, "the study shows them all"
    for outcome, number in outcomes.items():
        assert re.search(rf"\b{number} \S {outcome}", page.words)
        badges = [a for a in page.all("span") if a.get("class") == f"badge {outcome}"]
        assert len(badges) == 1 + 2 * number


def test_verdicts_come_first_and_headings_are_in_order(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if tag in {"h1", "h2", "h3", "h4"}]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [a["id"] for a in page.all("h2")]
    assert ids == ["verdicts", "evidence", "experiments", "made", "words"]
    assert page.all("html")[0]["lang"] == "en"


def test_links_lead_somewhere_and_ids_are_unique(page: Page) -> None:
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    links = [a["href"][1:] for a in page.all("a") if a["href"].startswith("#")]
    assert set(links) <= set(ids)


def test_every_picture_is_told_in_words(page: Page, tiny_study: StudyResult) -> None:
    told = [a["aria-label"] for a in page.all("svg") if a.get("role") == "img"]
    assert len(told) > len(tiny_study.claims)
    assert all(len(alt) > 40 for alt in told)
    ornaments = [a for a in page.all("svg") if a.get("role") != "img"]
    assert all(a["aria-hidden"] == "true" for a in ornaments)


def test_conditions_and_provenance_are_told(page: Page, tiny_study: StudyResult) -> None:
    for said in (
        "raw pixels, 0 to 255",
        "1 hidden layer of 8 units",
        "SGD with momentum 0.9",
        "learning rate 0.1",
        "batches of 100",
        "0 to 4",
        "learning rate: 0.001, 0.1, 300",
        "40 trained, 5 of them diverged",
        "bninit study tiny.yaml",
        "e2101700eb2713f2160efc87e7a0b4217e3b0c61e8245079a0f55c9d0158c800",
        "torch ",
        "This study is not complete" if tiny_study.failures else "Claim by claim",
    ):
        assert said in page.words, said


def test_the_study_can_be_saved_from_the_page(page: Page, tiny_study: StudyResult) -> None:
    from bninit.verbs.study.load import load_study

    (link,) = [a for a in page.all("a") if "download" in a]
    head, _, data = link["href"].partition("base64,")
    assert head == "data:text/yaml;charset=utf-8;"
    path = tiny_study.folder / "saved.yaml"
    path.write_bytes(base64.b64decode(data))
    assert load_study(path) == tiny_study.study


def test_the_table_of_arms_has_the_runs_figures(page: Page, tiny_study: StudyResult) -> None:
    arm = next(
        arm
        for arm in tiny_study.arms
        if arm.experiment == "rates" and arm.config.optim.lr == 0.1 and arm.config.model.norm.input
    )
    summaries = [tiny_study.runs[arm.id, seed].summary for seed in range(5)]
    accuracies = [summary["test_accuracy"] for summary in summaries if summary]
    mean = 100 * sum(accuracies) / 5
    row = re.search(r"(?<!no )batch norm on the input, learning rate 0\.1 5 (\S+) %", page.words)
    assert row
    assert float(row[1]) == pytest.approx(mean, abs=0.051)


def test_an_arm_that_always_diverged_is_named_where_its_curve_would_be(page: Page) -> None:
    assert page.words.count("batch norm on the input, learning rate 300: diverged") == 2


def test_missing_networks_are_told_and_cost_their_seed(
    tiny_study: StudyResult, study_file: Path, tmp_path: Path
) -> None:
    from bninit.verbs.study.run import run_study

    shutil.copytree(study_file.parent / "runs", tmp_path / "runs")
    arm = next(arm for arm in tiny_study.arms if arm.experiment == "placement")
    shutil.rmtree(tmp_path / "runs" / f"{arm.config.name}-{arm.id}" / "seed-2")
    result = run_study(study_file, runs_dir=tmp_path / "runs", only_read=True)
    page = Page(write_report(result, path=tmp_path / "page.html").read_text())
    assert "39 of 40 networks are trained" in page.words
    assert "placement: placement none (seed 2)" in page.words
    assert "1 seed is left out: a run is missing." in page.words
    assert "0, 1, 3, 4" in page.words


def test_nothing_trained_gives_a_page_all_the_same(study_file: Path, tmp_path: Path) -> None:
    from bninit.verbs.study.run import run_study

    result = run_study(study_file, runs_dir=tmp_path / "runs", only_read=True)
    page = Page(write_report(result, path=tmp_path / "page.html").read_text())
    assert "0 of 40 networks are trained" in page.words
    assert page.words.count("There is no picture") == len(result.claims)


def test_claims_without_a_whole_seed_have_no_picture(
    tiny_study: StudyResult, tmp_path: Path
) -> None:
    def emptied(side: Side) -> Side:
        return dataclasses.replace(side, values=side.values[:0])

    claims = tuple(
        dataclasses.replace(
            found,
            seeds=(),
            left=emptied(found.left),
            right=emptied(found.right) if found.right else None,
            n=0,
            effect=None,
            low=None,
            high=None,
        )
        for found in tiny_study.claims
    )
    bare = dataclasses.replace(tiny_study, claims=claims, runs={})
    page = Page(write_report(bare, path=tmp_path / "page.html").read_text())
    assert "0 of 40 networks are trained" in page.words
    assert page.words.count("There is no picture") == len(claims)


def test_a_study_without_claims_has_a_page(tiny_study: StudyResult, tmp_path: Path) -> None:
    study = tiny_study.study.model_copy(update={"claims": ()})
    bare = dataclasses.replace(tiny_study, study=study, claims=())
    page = Page(write_report(bare, path=tmp_path / "page.html").read_text())
    assert "it has no claims" in page.words
    assert "Claim by claim" not in page.words.partition("Experiments")[2]
