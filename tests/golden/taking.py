"""What is held fast of today's behaviour: taken from a tree here, stored as JSON beside this.

``PYTHONPATH=tests python tests/golden/taking.py`` stores it anew, where a change was meant. Only
the command line and what ``bninit`` exports are used, but for `commands` and `study_arms`. The
folder ``runs`` was written by version 0.1.0 and stays as it is: later versions have to read it.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import running
from safetensors.numpy import load_file

import bninit

HERE = Path(__file__).parent
CONFIGS = HERE.parents[1] / "configs"
RUNS = HERE / "runs"
PROBED = "runs/probed-dce48593"
CUT = "runs/cut-f8925959"


def stored(name: str) -> Any:
    return json.loads((HERE / f"{name}.json").read_text())


def study_arms(path: Path) -> list[tuple[str, str]]:
    """The name and the id of each arm of a study; no public route leads to them."""
    from bninit.verbs.study.expand import expand
    from bninit.verbs.study.load import load_study

    return [(arm.config.name, bninit.arm_id(arm.config)) for arm in expand(load_study(path))]


def commands() -> dict[str, Any]:
    """The verbs as typer has them."""
    import typer.main

    from bninit.cli.app import app

    return dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def take_arm_ids() -> dict[str, Any]:
    ids: dict[str, Any] = {}
    for path in sorted(CONFIGS.rglob("*.yaml")):
        name = str(path.relative_to(CONFIGS))
        if path.parent.name == "studies":
            ids[name] = sorted({f"{arm}-{id_}" for arm, id_ in study_arms(path)})
        else:
            config = bninit.load_config(path)
            ids[name] = f"{config.name}-{bninit.arm_id(config)}"
    return ids


def take_options() -> dict[str, Any]:
    """For each verb its options, and its arguments by their position."""
    verbs: dict[str, Any] = {}
    for verb, command in commands().items():
        verbs[verb] = {}
        for place, one in enumerate(command.params):
            default = getattr(one.default, "value", one.default)
            is_option = one.param_type_name == "option"
            verbs[verb][" ".join(one.opts) if is_option else f"argument {place}"] = {
                "required": one.required,
                "several": one.multiple or one.nargs == -1,
                "flag": is_option and one.is_flag,
                "default": default if isinstance(default, bool | int | float) else str(default),
            }
    return verbs


def take_run(run: bninit.Run) -> dict[str, Any]:
    """The figures of its epochs, the losses of its steps, and sums over its weights."""
    metrics = run.metrics().drop(columns="seconds")
    summary = run.summary
    assert summary is not None
    found = {
        "metrics": {name: column.tolist() for name, column in metrics.items()},
        "steps": np.load(run.folder / "steps.npy").tolist(),
        "summary": without_times(dict(summary)),
        "weights": {
            name: [
                float(np.sum(np.abs(value), dtype=float)),
                float(np.sum(value.astype(float) ** 2)),
            ]
            for name, value in sorted(load_file(run.folder / "final.safetensors").items())
        },
    }
    if (run.folder / "layers.safetensors").exists():
        layers = run.layers()
        means = layers.groupby(["place", "quantity"])["value"].agg(["size", "mean"])
        found["layers"] = {
            f"{quantity} of {place}": list(row)
            for (place, quantity), row in zip(means.index, means.to_numpy(), strict=True)
        }
    return dict(plain(found))


def take_study(name: str, folder: Path, *, num_seeds: int) -> dict[str, Any]:
    """Trains a small study that lies beside this; takes the runs of its first seeds."""
    done = running.bninit("study", str(HERE / f"{name}.yaml"), "--device", "cpu", cwd=folder)
    assert done.returncode == 0, done.stderr
    runs = folder / "runs"
    verdicts = json.loads((runs / "studies" / name / "verdicts.json").read_text())
    return {
        "verdicts": plain(without_times(verdicts)),
        "files": files_in(runs / "studies"),
        "runs": {
            f"{run.folder.parent.name}/seed-{run.seed}": take_run(run)
            for run in bninit.find_runs(runs)
            if run.seed < num_seeds
        },
    }


VERBS = {
    "list": ["list", "--json"],
    "show": ["show", "diverges-4d7abd40", "--json"],
    "compare": ["compare", "plain", "probed", "diverges", "--no-train", "--format", "json"],
    "inspect": ["inspect", "probed", "--json"],
    "explain": [
        *("explain", f"{PROBED}/seed-0/config.yaml", "--set", "train.precision=float64"),
        *("--seeds", "2", "--json"),
    ],
    "landscape": [
        *("landscape", f"{CUT}/seed-0", "--steps", "3", "--resolution", "3", "--directions", "1"),
        *("--examples", "20", "--json"),
    ],
    "init": ["init", "starter"],
}
"""What is asked about the runs in ``runs``, whose figures no processor can change."""


def take_verb(name: str, folder: Path) -> dict[str, Any]:
    """What a verb prints as JSON, and the files that it writes."""
    before = files_in(folder)
    done = running.bninit(*VERBS[name], cwd=folder)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout) if done.stdout.startswith(("[", "{")) else None
    written = {path: how for path, how in files_in(folder).items() if path not in before}
    return {"printed": plain(without_times(printed)), "files": written}


def finish_cut(folder: Path) -> dict[str, Any]:
    """Goes on with the training that was cut; adds what only options ask for."""
    config = str(folder / CUT / "seed-0" / "config.yaml")
    done = running.bninit("train", "--config", config, "--tensorboard", cwd=folder)
    assert done.returncode == 0, done.stderr
    run = bninit.Run(folder / CUT / "seed-0")
    return {"run": take_run(run), "files": files_in(folder / CUT)}


def without_times(value: Any) -> Any:
    """Leaves out what a clock decides, and sentences, whose words may get better."""
    if isinstance(value, list):
        return [without_times(item) for item in value]
    if not isinstance(value, dict):
        return value
    if str(value.get("metric", "")).startswith("seconds"):
        value = {key: item for key, item in value.items() if not isinstance(item, float)}
    left_out = ("seconds", "crc32", "sentence", "stack_size", "says", "when")
    return {
        key: without_times(item)
        for key, item in value.items()
        if not any(key.startswith(word) for word in left_out)
    }


def plain(value: Any) -> Any:
    """NaN and infinity as text, as JSON has neither."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def differences(then: Any, now: Any, *, rtol: float, at: str = "") -> Iterator[str]:
    """What is gone or differs; what is new is fine, and so are other words of a sentence."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key, item in then.items():
            if key in now:
                yield from differences(item, now[key], rtol=rtol, at=f"{at}/{key}")
            else:
                yield f"{at}/{key} is gone"
    elif isinstance(then, list) and then and all(is_sentence(item) for item in then):
        if not now:
            yield f"{at}: nothing is said"
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for index, (item, other) in enumerate(zip(then, now, strict=True)):
            yield from differences(item, other, rtol=rtol, at=f"{at}[{index}]")
    elif isinstance(then, float) and isinstance(now, int | float):
        if not math.isclose(then, now, rel_tol=rtol, abs_tol=rtol):
            yield f"{at}: {then}, now {now}"
    elif is_sentence(then):
        if not isinstance(now, str) or not now:
            yield f"{at}: nothing is said"
    elif then != now:
        yield f"{at}: {then!r}, now {now!r}"


def without_pictures() -> Any:
    """Pictures come out empty: drawing them takes most of the time."""
    return mock.patch("vl_convert.vegalite_to_png", return_value=b"")


def is_sentence(value: Any) -> bool:
    return isinstance(value, str) and " " in value


def files_in(folder: Path) -> dict[str, str]:
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    names = sorted(str(path.relative_to(folder)) for path in paths)
    return {re.sub(r"tfevents.*", "tfevents", name): "written" for name in names}


def take_all() -> dict[str, Any]:
    """Everything that is stored, by the name of its file."""
    with tempfile.TemporaryDirectory() as name, without_pictures():
        copied, finished, first, second = (Path(name) / part for part in "abcd")
        for folder in (copied, finished):
            shutil.copytree(RUNS, folder / "runs")
        for folder in (first, second):
            folder.mkdir()
        return {
            "arm_ids": take_arm_ids(),
            "options": take_options(),
            "cut": finish_cut(finished),
            "verbs": {verb: take_verb(verb, copied) for verb in VERBS if verb != "landscape"},
            "landscape": take_verb("landscape", finished),
            "placements": take_study("placements", first, num_seeds=2),
            "claims": take_study("claims", second, num_seeds=1),
        }


def store_all() -> None:
    for name, value in take_all().items():
        text = json.dumps(value, indent=0, allow_nan=False)
        # A list of numbers stands on one line.
        text = re.sub(r"\[\n([^\[\]{}]*?)\n\]", lambda one: f"[{one[1]}]".replace("\n", " "), text)
        (HERE / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    store_all()
