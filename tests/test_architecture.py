"""The arrows of the house: who may import whom, and who stays clear of heavy imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PACKAGE = Path(__file__).parents[1] / "bninit"

ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "fields": {"errors"},
    "data": {"errors", "fields"},
    "nets": {"errors", "fields"},
    "theory": {"errors", "nets"},
    "training": {"errors", "fields", "nets", "data"},
    "config": {"errors", "fields", "data.catalog", "data.settings", "nets", "training"},
    "store": {"errors", "fields", "config", "data.catalog", "nets", "training"},
    "engines": {"errors", "config", "data", "nets", "training", "store"},
    "stats": {"errors"},
    "metrics": {"errors", "config", "data.catalog", "nets", "store", "stats", "training"},
    "arms": {"errors", "fields", "config", "metrics", "stats", "store", "training.targets"},
    "show": {"errors", "config", "nets", "arms", "metrics", "stats", "store"},
}
"""What each room may import; the command line and the verbs, which no room imports, anything."""

HALL = {"cli", "verbs"}
"""Where rooms meet."""

SHARED_VERBS = {"study": {"compare"}}
"""A study may show arms with compare's tables."""


def _imports(path: Path) -> Iterator[str]:
    """Our own modules that a file imports, type-checking imports left out."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(node)
        for guard in ast.walk(tree)
        if isinstance(guard, ast.If) and "TYPE_CHECKING" in ast.unparse(guard.test)
        for node in ast.walk(guard)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and id(node) not in typing_only:
            module = node.module or ""
            if module == "bninit":
                yield from (alias.name for alias in node.names if alias.name[0] != "_")
            elif module.startswith("bninit."):
                module = module.removeprefix("bninit.")
                folder = PACKAGE.joinpath(*module.split("."))
                for alias in node.names:
                    is_module = (folder / f"{alias.name}.py").exists()
                    yield f"{module}.{alias.name}" if is_module else module


def _is_allowed(module: str, allowed: set[str]) -> bool:
    return any(module == one or module.startswith(f"{one}.") for one in allowed)


def test_every_room_is_known() -> None:
    rooms = {
        path.stem
        for path in PACKAGE.iterdir()
        if path.name[0] != "_" and (path.is_dir() or path.suffix == ".py")
    }
    assert rooms == {*ALLOWED, *HALL} & rooms


@pytest.mark.parametrize("room", ALLOWED)
def test_nothing_flows_back_up(room: str) -> None:
    files = (
        (PACKAGE / room).rglob("*.py") if (PACKAGE / room).is_dir() else [PACKAGE / f"{room}.py"]
    )
    faults = [
        f"{path.relative_to(PACKAGE)} imports {module}"
        for path in files
        for module in _imports(path)
        if not _is_allowed(module, ALLOWED[room] | {room})
    ]
    assert not faults


def test_no_verb_imports_another() -> None:
    faults = []
    for path in (PACKAGE / "verbs").rglob("*.py"):
        verb = path.relative_to(PACKAGE / "verbs").parts[0].removesuffix(".py")
        for module in _imports(path):
            other = module.split(".")[1] if module.startswith("verbs.") else verb
            if other not in {verb, *SHARED_VERBS.get(verb, ())}:
                faults.append(f"{path.relative_to(PACKAGE)} imports {module}")
    assert not faults


def test_no_circles() -> None:
    """Modules that import each other in a loop cannot be understood one after the other."""
    graph = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): set(_imports(path))
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py"
    }
    while ends := {module for module, used in graph.items() if not used & graph.keys()}:
        graph = {module: used for module, used in graph.items() if module not in ends}
    assert not graph, "modules in circles, and those that lead into one"


@pytest.mark.parametrize(
    "statement", ["import bninit", "import bninit.config", "import bninit.cli.app"]
)
def test_the_door_is_light(statement: str) -> None:
    heavy = "{'torch', 'vl_convert', 'scipy', 'torchvision', 'pandas'}"
    code = f"import sys; {statement}; sys.exit(len({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def _imported_by(code: str, *, cwd: Path) -> set[str]:
    """The modules that are imported when some code is done."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules, file=sys.stderr)"],
        cwd=cwd,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


def test_help_reads_no_config(tmp_path: Path) -> None:
    """Half of the time of ``--help`` was pydantic's."""
    code = "from bninit.cli.app import app; app(['--help'], standalone_mode=False)"
    assert not _imported_by(code, cwd=tmp_path) & {"pydantic", "yaml", "bninit.config"}


def test_comparing_what_is_there_needs_neither_torch_nor_distributions(
    keep_run: Any, tmp_path: Path
) -> None:
    """scipy.stats takes longer to import than a thousand runs to compare."""
    for name, lr in (("one", 0.1), ("two", 0.2)):
        for seed in (0, 1):
            keep_run(name, [0.1, 0.6], seed=seed, overrides=[f"optim.lr={lr}"])
    code = "from bninit.cli.app import app; app(['list'], standalone_mode=False)"
    assert not _imported_by(code, cwd=tmp_path) & {"torch", "scipy", "pandas", "vl_convert"}
    code = "import bninit; bninit.compare(['one', 'two'], train_missing=False)"
    imported = _imported_by(code, cwd=tmp_path)
    assert "bninit.stats" in imported
    assert not imported & {"torch", "scipy.stats", "vl_convert"}


def test_reading_a_config_and_a_dry_run_need_no_torch(tmp_path: Path) -> None:
    config = PACKAGE.parent / "configs" / "quickstart.yaml"
    code = (
        "import sys; from bninit.cli.app import app\n"
        f"app(['train', '--config', {str(config)!r}, '--dry-run'], standalone_mode=False)\n"
        "sys.exit(bool({'torch', 'numpy', 'bninit.verbs.study.schema'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "335,882" in done.stdout
    assert not list(tmp_path.iterdir()), "a dry run writes nothing"
