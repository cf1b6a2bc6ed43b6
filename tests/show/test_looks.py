"""Looks of arms: told apart by everyone, the same for the same arm."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest

from bninit.show.charts import (
    BLACK,
    BLUE,
    COLOURS,
    GUIDE,
    PLACEMENT_COLOURS,
    VERMILLION,
    arm_styles,
)

# Machado, Oliveira & Fernandes 2009, table 1, severity 1.0: linear RGB as dichromats see it.
SIGHTS = {
    "full colour vision": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}


def linear(colour: str) -> np.ndarray:
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of linear RGB."""
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    x, y, z = np.cbrt(to_xyz @ rgb.clip(0, 1) / [0.95047, 1.0, 1.08883])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SIGHTS)
def test_colours_stay_apart_for_everyone(sight: str) -> None:
    seen = [lab(SIGHTS[sight] @ linear(colour)) for colour in COLOURS]
    distances = [np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)]
    # A difference of 2.3 is just noticeable.
    assert min(distances) > 10


def test_guide_lines_can_be_read_on_white() -> None:
    luminance = float(np.array([0.2126, 0.7152, 0.0722]) @ linear(GUIDE))
    assert 1.05 / (luminance + 0.05) >= 4.5  # WCAG 2.1, AA


def test_each_placement_has_its_colour_whatever_the_order() -> None:
    placements = {"a": "none", "b": "pre", "c": "post"}
    for order in itertools.permutations(placements):
        styles = arm_styles(order, placements=placements)
        assert {arm: styles[arm].colour for arm in "abc"} == {
            "a": BLACK,
            "b": BLUE,
            "c": VERMILLION,
        }


def test_a_second_arm_of_a_placement_takes_no_other_placements_colour() -> None:
    styles = arm_styles(["a", "b", "c"], placements={"a": "pre", "b": "pre", "c": "post"})
    assert styles["a"].colour == BLUE
    assert styles["b"].colour not in PLACEMENT_COLOURS.values()


@pytest.mark.parametrize("num_arms", [1, 7])
def test_colours_alone_tell_up_to_seven_arms_apart(num_arms: int) -> None:
    styles = arm_styles([str(i) for i in range(num_arms)])
    assert len({style.colour for style in styles.values()}) == num_arms


@pytest.mark.parametrize("placements", [{}, {str(i): "pre" for i in range(35)}])
def test_looks_tell_up_to_35_arms_apart(placements: dict[str, str]) -> None:
    styles = arm_styles([str(i) for i in range(35)], placements=placements)
    assert len({(style.colour, style.dash) for style in styles.values()}) == 35
    assert len({(style.colour, style.shape) for style in styles.values()}) == 35


def test_five_arms_differ_without_any_colour() -> None:
    styles = arm_styles(list("abcde")).values()
    assert len({style.dash for style in styles}) == 5
    assert len({style.shape for style in styles}) == 5


def test_more_arms_than_looks_are_still_drawn() -> None:
    assert len(arm_styles([str(i) for i in range(100)])) == 100


def test_an_arm_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="duplicate"):
        arm_styles(["a", "a"])


def test_arms_of_rising_numbers_become_lighter() -> None:
    values = {"b": 3.0, "a": 0.1, "d": 100.0, "c": 10.0}
    styles = arm_styles(list(values), numbers=values)
    seen = [
        float(lab(linear(styles[arm].colour))[0]) for arm in sorted(values, key=values.__getitem__)
    ]
    assert seen == sorted(seen)
    assert seen[-1] - seen[0] > 30


def test_importing_them_loads_nothing_heavy() -> None:
    code = (
        "import sys, bninit.show.charts, bninit.show.tables, bninit.show.progress\n"
        "print([m for m in ('vl_convert', 'pandas', 'torch', 'scipy.stats') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
