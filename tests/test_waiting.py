"""How torch's threads wait is decided when ``bninit`` is imported, unless the user has decided."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["PASSIVE", None]),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ["ACTIVE", None]),
        ({"GOMP_SPINCOUNT": "5000"}, [None, "5000"]),
    ],
    ids=["nothing", "policy", "count"],
)
def test_threads_wait_passively_unless_the_user_says_otherwise(
    given: dict[str, str], expected: list[str | None]
) -> None:
    code = f"import bninit, os, sys; print([os.environ.get(n) for n in {WAITING}]); "
    code += "assert 'torch' not in sys.modules"
    env = {key: value for key, value in os.environ.items() if key not in WAITING} | given
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.stdout.strip() == repr(expected), done.stderr
