"""A live line for every analysis: how many sites have replied, or of long learning how many rounds are done, and what is left."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column

from huizhen.cli.words import Language, say
from huizhen.federation.events import Event

__all__ = ["RoundBars"]

SETTLED = ("answered", "silent", "failed", "refused", "left out")
LOST = ("silent", "failed", "refused")
WITH_BAR, WITH_ELAPSED, WITH_STEP = 104, 114, 124  # columns of a terminal that has room for it beside what must be read
LONGEST_LABEL = 16


class RoundBars:
    """Reads a run's events; one line an analysis. Its bar fills in every round, or where a method tells its progress, over all."""

    def __init__(self, console: Console, spoken: Language) -> None:
        self._spoken = spoken
        self._console = console
        self._tasks: dict[str, TaskID] = {}
        self._began: dict[str, tuple[float, float]] = {}  # when progress was first seen, and how much was done then
        self._unanswered: set[str] = set()
        self._progress = Progress(*_columns(console.width), expand=True, console=console)

    def __enter__(self) -> RoundBars:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """A line above the live ones."""
        self._console.print(text, markup=False)

    def watch(self, event: Event) -> None:
        """Show one event."""
        if event.kind == "reading":
            self._read(event)
            return
        if (reading := self._tasks.pop("", None)) is not None:
            self._progress.remove_task(reading)
        task = self._task(event.analysis)
        learning = event.analysis in self._began
        if event.kind in ("comparing", "compared"):
            self._compare(event, task)
        elif event.progress is not None:
            self._learn(event, task)
        elif event.kind == "asked" and not learning:
            sites = event.detail.count(",") + 1
            told = say("round", self._spoken, number=event.round)
            self._progress.update(task, total=sites, completed=0, step=event.step, unit=say("sites", self._spoken), told=told)
        elif event.kind in SETTLED and not learning:
            self._progress.advance(task)
        elif event.kind == "finished":
            self._finish(event, task)
        if event.kind in LOST and learning:
            self._console.print(say("lost", self._spoken, site=event.site, number=event.round, reason=event.detail), markup=False)

    def _finish(self, event: Event, task: TaskID) -> None:
        """A mark of success is for success: without an answer the line keeps its last place, also when it has been compared."""
        if event.detail:
            self._unanswered.add(event.analysis)
        if event.analysis in self._unanswered:
            self._progress.update(task, step="", told=say("without answer", self._spoken))
            return
        total = self._progress.tasks[self._progress.task_ids.index(task)].total or 1
        told = say("compared", self._spoken) if event.kind == "compared" else ""
        self._progress.update(task, completed=total, total=total, step="", told=told)

    def _task(self, analysis: str) -> TaskID:
        if analysis not in self._tasks:
            self._tasks[analysis] = self._progress.add_task("", total=None, label=_short(analysis), step="", unit="", told="")
        return self._tasks[analysis]

    def _read(self, event: Event) -> None:
        """How many sites' sources were opened or read, and whose is."""
        of = event.progress.of if event.progress is not None else None
        done = event.progress.done if event.progress is not None else 0
        label, unit = say("reading", self._spoken), say("sites", self._spoken)
        self._progress.update(self._task(""), label=label, total=of, completed=done, step=event.step, unit=unit, told=event.site)

    def _learn(self, event: Event, task: TaskID) -> None:
        """Rounds done of those planned, about how long the rest takes, and the newest joint measures."""
        progress = event.progress
        assert progress is not None
        told = self._told(event, progress.done, progress.of, event.analysis)
        self._progress.update(
            task, total=progress.of, completed=progress.done, step=event.step, unit=say("rounds", self._spoken), told=told
        )

    def _compare(self, event: Event, task: TaskID) -> None:
        """Which model beside the joint one is learned or judged, about how long the rest takes, and how far it is itself."""
        at = event.comparing
        if at is None:
            self._finish(event, task)
            return
        judging = at.whose is None
        told = self._told(event, at.share, 1.0, f"{event.analysis}/{'judging' if judging else 'comparing'}")
        whose = "" if judging else at.whose or say("pooled rows", self._spoken)
        within = f"{event.progress.done}/{event.progress.of}" if event.progress is not None else ""
        told = " · ".join(filter(None, (" ".join(filter(None, (whose, within))), told)))
        unit = say("judgements" if judging else "models", self._spoken)
        self._progress.update(task, total=at.of, completed=at.place - 1, step=event.kind, unit=unit, told=told)

    def _told(self, event: Event, done: float, of: float, what: str) -> str:
        """The time left, at the pace since this was first seen, then the measures: what there is no room for is cut from them."""
        began_s, first = self._began.setdefault(what, (event.at_s, done))
        left = ""
        if done > first:
            left = say("time left", self._spoken, time=_clock((event.at_s - began_s) / (done - first) * (of - done)))
        return " · ".join(filter(None, (left, _measures(event.progress.measures if event.progress is not None else {}))))


def _columns(width: int) -> list[ProgressColumn]:
    """What there is room for: label, how many are done, time left and measures always, the rest on wider terminals."""
    rest = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    return [
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.fields[label]}", table_column=Column(no_wrap=True)),
        *([TextColumn("{task.fields[step]}", style="dim")] if width >= WITH_STEP else []),
        *([BarColumn(bar_width=12)] if width >= WITH_BAR else []),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[unit]} · {task.fields[told]}", markup=False, table_column=rest),
        *([TimeElapsedColumn()] if width >= WITH_ELAPSED else []),
    ]


def _short(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…"


def _measures(measures: Mapping[str, float]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in measures.items())


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
