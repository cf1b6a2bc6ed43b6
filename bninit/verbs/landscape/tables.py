"""A landscape as tables on the terminal, as CSV and as JSON."""

from __future__ import annotations

from functools import partial
from typing import Any

from rich.console import Console
from rich.text import Text

from bninit.show import words
from bninit.show.tables import Column, Table, stacked
from bninit.stats import median
from bninit.store.files import json_text
from bninit.verbs.landscape.landscape import OF_STEP, Landscape, LandscapeRun

AWAY = 0.5
"""Distance from the network, in filter norms, at which a line is summarised."""


def print_landscape(
    found: Landscape, *, as_json: bool = False, console: Console | None = None
) -> None:
    """Print the figures of each run and the notes; or JSON."""
    console = console or Console()
    if as_json:
        console.file.write(landscape_json(found))
        return
    console.print(stacked([*_tables(found), Text("\n".join(found.notes))]))


def landscape_json(found: Landscape) -> str:
    """Settings, figures and notes; a number that does not exist or is not finite is null."""
    return json_text(
        {"settings": found.settings, "runs": summary_rows(found), "notes": found.notes}
    )


def csv_texts(found: Landscape) -> dict[str, str]:
    """The tables, as CSV by file name."""
    return {f"{name}.csv": table.to_csv(index=False) for name, table in found.tables.items()}


def summary_rows(found: Landscape) -> list[dict[str, Any]]:
    """The figures of each run; None where there is no number.

    Along the gradient they are medians over the measured steps. ``loss_in_the_middle`` is the
    loss of the network itself on the examples of the slices, ``loss_away`` the median over
    directions and both sides at a distance of `AWAY` filter norms.
    """
    return [_summary(found, run) for run in found.runs]


def _summary(found: Landscape, run: LandscapeRun) -> dict[str, Any]:
    row: dict[str, Any] = {
        "label": run.label,
        "arm": run.arm_id,
        "seed": run.seed,
        "placement": run.placement,
        "learning_rate": run.learning_rate,
    }
    if "steps" in found.tables:
        mine = found.of("steps", run)
        row["measured_steps"] = len(mine)
        row["shortest_step"] = float(mine["shortest"].min())
        row["longest_step"] = float(mine["longest"].max())
        row |= {name: median(mine[name].tolist()) for name in ("loss", *OF_STEP)}
    if "lines" in found.tables:
        mine = found.of("lines", run)
        distance = mine["position"].abs()
        away = float(distance.iloc[int((distance - AWAY).abs().argmin())])
        row["loss_in_the_middle"] = median(mine.loc[distance == 0, "loss"].tolist())
        row["away"] = away
        row["loss_away"] = median(mine.loc[distance == away, "loss"].tolist())
    if run.label in found.explained:
        row["explained"] = list(found.explained[run.label])
    if run.replay_gap is not None:
        row["replay_gap"] = run.replay_gap
    return row


def _tables(found: Landscape) -> list[Table]:
    number = partial(Column, numeric=True, write=words.number)
    share = partial(Column, numeric=True, write=partial(words.percent, num_digits=1))
    run = Column(key="label", title="run")
    rows = summary_rows(found)
    tables = []
    if "steps" in found.tables:
        for row in rows:
            shortest, longest = (
                words.number(row["shortest_step"]),
                words.number(row["longest_step"]),
            )
            row["step_lengths"] = f"{shortest} to {longest}"
        columns = [
            run,
            number(key="learning_rate", title="learning\nrate", rank=3),
            Column(key="step_lengths", title="step lengths", numeric=True, rank=4),
            number(key="loss", title="loss\n(nats)", rank=1),
            number(key="loss_range", title="its range\n(nats)"),
            number(key="gradient_change", title="gradient\nchange", rank=2),
            number(key="relative_gradient_change", title="relative\nchange"),
            number(key="smoothness", title="smoothness\n(less: smoother)"),
        ]
        steps = rows[0]["measured_steps"]
        title = f"Along the gradient, median of {words.plural(steps, 'training step')}"
        tables.append(Table(columns, rows, title=title))
    if "lines" in found.tables:
        away = f"{words.number(rows[0]['away'])} filter norms\naway (nats)"
        columns = [
            run,
            number(key="loss_in_the_middle", title="loss of the\nnetwork (nats)"),
            number(key="loss_away", title=away),
        ]
        title = "Around the trained network, median over random directions"
        tables.append(Table(columns, rows, title=title))
    if found.explained:
        seen = [
            {"label": row["label"], "first": row["explained"][0], "second": row["explained"][1]}
            for row in rows
            if "explained" in row
        ]
        columns = [
            run,
            share(key="first", title="first principal\ncomponent"),
            share(key="second", title="second"),
        ]
        title = "Variance of the training path that its plane shows"
        tables.append(Table(columns, seen, title=title))
    return tables
