"""A live bar for every round: how many of the sites asked have replied."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from huizhen.cli.words import Language, say
from huizhen.federation.events import Event

__all__ = ["RoundBars"]

SETTLED = ("answered", "silent", "failed", "refused", "left out")


class RoundBars:
    """Reads a run's events; one line an analysis, whose bar fills in every round."""

    def __init__(self, console: Console, spoken: Language) -> None:
        self._spoken = spoken
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.fields[label]:<16}"),
            TextColumn("{task.fields[step]:<12}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn(say("sites", spoken)),
            TextColumn("· " + say("round", spoken, number="{task.fields[round]}")),
            TimeElapsedColumn(),
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
            task = self._progress.add_task("", total=None, label=event.analysis, step="", round=0)
            self._tasks[event.analysis] = task
        if event.kind == "asked":
            sites = event.detail.count(",") + 1
            self._progress.update(task, total=sites, completed=0, step=event.step, round=event.round)
        elif event.kind in SETTLED:
            self._progress.advance(task)
        elif event.kind == "finished":
            total = self._progress.tasks[self._progress.task_ids.index(task)].total
            self._progress.update(task, completed=total or 1, total=total or 1, step="", round=event.round)
