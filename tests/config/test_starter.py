from pathlib import Path

import pytest

from bninit.config import Config, config_from_dict, load_config, starter
from bninit.errors import ConfigError
from bninit.fields import all_keys


def test_the_starter_loads_as_it_stands_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "first.yaml"
    path.write_text(starter("first"), encoding="utf-8")
    assert load_config(path) == config_from_dict({"name": "first"})


def test_every_key_is_there_and_explained() -> None:
    lines = starter("first").splitlines()
    assert max(map(len, lines)) <= 100
    assert "  seeds: 1" in lines
    path: list[str] = []
    seen = set()
    for number, line in enumerate(lines):
        key, colon, _ = line.lstrip(" #").partition(":")
        is_comment = line.lstrip().startswith("#")
        depth = (len(line) - len(line.lstrip())) // 2
        candidate = (*path[:depth], key)
        if not colon or (is_comment and candidate not in set(all_keys(Config))):
            continue
        assert lines[number - 1].lstrip().startswith("# "), line
        seen.add(candidate)
        if not is_comment:
            path = list(candidate)
    assert seen == set(all_keys(Config)) - {("schema_version",)}


def test_commented_keys_are_of_the_right_type(tmp_path: Path) -> None:
    lines = starter("first").splitlines()
    commented = [
        number
        for number, line in enumerate(lines)
        if line.lstrip().startswith("# ")
        and line.split(":")[0].lstrip(" #") in CONDITIONAL
        and not lines[number - 1].lstrip().startswith(("a", "b"))
        and lines[number - 1].lstrip().startswith("#")
    ]
    assert len(commented) == 11
    for number in commented:
        text = "\n".join(
            line.replace("# ", "", 1) if number == index else line
            for index, line in enumerate(lines)
        )
        path = tmp_path / "first.yaml"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(
            ConfigError, match=f"first.yaml:{number + 1}: .* does not take this key"
        ):
            load_config(path)


CONDITIONAL = {"std", "limit", "value", "betas", "eps", "step_epochs", "factor", "min_lr"}


def test_a_bad_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot name a run"):
        starter("../x")
