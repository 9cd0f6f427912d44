"""A live line for every analysis: how many sites have replied, or of long learning how many rounds are done, and what is left."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from huizhen.cli.words import Language, say
from huizhen.federation.events import Event

__all__ = ["RoundBars"]

SETTLED = ("answered", "silent", "failed", "refused", "left out")
LOST = ("silent", "failed", "refused")


class RoundBars:
    """Reads a run's events; one line an analysis. Its bar fills in every round, or where a method tells its progress, over all."""

    def __init__(self, console: Console, spoken: Language) -> None:
        self._spoken = spoken
        self._console = console
        self._tasks: dict[str, TaskID] = {}
        self._began_s: dict[str, tuple[float, int]] = {}  # when the first round with progress was seen, and which it was
        self._progress = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.fields[label]}"),
            TextColumn("{task.fields[step]}", style="dim"),
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TextColumn(
                "{task.fields[unit]} · {task.fields[told]}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")
            ),
            TimeElapsedColumn(),
            expand=True,
            console=console,
        )

    def __enter__(self) -> RoundBars:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def watch(self, event: Event) -> None:
        """Show one event."""
        task = self._tasks.get(event.analysis)
        if task is None:
            task = self._progress.add_task("", total=None, label=event.analysis, step="", unit="", told="")
            self._tasks[event.analysis] = task
        learning = event.analysis in self._began_s
        if event.progress is not None:
            self._learn(event, task)
        elif event.kind == "asked" and not learning:
            sites = event.detail.count(",") + 1
            told = say("round", self._spoken, number=event.round)
            self._progress.update(task, total=sites, completed=0, step=event.step, unit=say("sites", self._spoken), told=told)
        elif event.kind in SETTLED and not learning:
            self._progress.advance(task)
        elif event.kind == "finished":
            total = self._progress.tasks[self._progress.task_ids.index(task)].total
            self._progress.update(task, completed=total or 1, total=total or 1, step="")
        if event.kind in LOST and learning:
            self._console.print(say("lost", self._spoken, site=event.site, number=event.round, reason=event.detail), markup=False)

    def _learn(self, event: Event, task: TaskID) -> None:
        """Rounds done of those planned, the newest joint measures, and about how long the rest takes."""
        progress = event.progress
        assert progress is not None
        done = progress.done
        began_s, first = self._began_s.setdefault(event.analysis, (event.at_s, done))
        told = _measures(progress.measures)
        if done > first:
            left_s = (event.at_s - began_s) / (done - first) * (progress.of - done)
            told = f"{told} · {say('time left', self._spoken, time=_clock(left_s))}".removeprefix(" · ")
        self._progress.update(task, total=progress.of, completed=done, step=event.step, unit=say("rounds", self._spoken), told=told)


def _measures(measures: Mapping[str, float]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in measures.items())


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
