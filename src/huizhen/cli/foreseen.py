"""A forecast for a reader in a terminal: how long, where the time goes, one round as bars, the sites, and what was assumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from huizhen.cli.words import Language, colon
from huizhen.translation import translate
from huizhen.twin.forecast.foreseen import Bar, Foreseen
from huizhen.twin.quantity import Quantity
from huizhen.twin.shadow.learnt import Compared
from huizhen.units import show_bytes

__all__ = ["beside", "between", "duration", "foretold", "per_cent", "shown"]

WIDE = 48  # letters of a bar
INKS = {"download": "▒", "compute": "█", "protect": "▓", "upload": "▒", "aggregate": "█", "wait": "·"}
SHOWN_PARTS = ("total", "rest", "bytes")
MOST_INPUTS, MOST_SITES = 12, 24
DAY_S, HOUR_S, MINUTE_S = 86_400.0, 3_600.0, 60.0


def shown(seen: Foreseen, spoken: Language) -> Iterator[RenderableType]:
    """The parts of the page, from above."""

    def told(text: str) -> str:
        return translate(text, spoken)

    mark = colon(spoken)
    yield Text(seen.title, style="bold")
    yield Text(f"{told('Time until the answer')}{mark}{between(seen.total, spoken)}", style="bold")
    if seen.deadline_s:
        asked = f"{told('Probability of an answer within the deadline')} ({duration(seen.deadline_s)})"
        yield Text(f"{asked}{mark}{per_cent(seen.in_time)}")
    if seen.naive_s:
        yield Text(f"{told('Bytes over bandwidth plus operations over peak would say')}{mark}{duration(seen.naive_s)}", style="dim")
    rounds, moved = seen.rounds, seen.moved
    yield Text(f"{told('Rounds')}{mark}{rounds.value:.0f} ({rounds.low:.0f} - {rounds.high:.0f})")
    if seen.engine == "wire":
        yield Text(f"{told('Bytes on the lines of the sites')}{mark}{_bytes(moved)}")
    if seen.operations_pfd:
        yield Text(f"{told('Work in petaflop/s-days, by operations')}{mark}{seen.operations_pfd:.2g}")
    yield Text(f"{told('Work in petaflop/s-days, by the time of devices at their peak')}{mark}{seen.hardware_pfd:.2g}")
    yield Text("")
    yield _parts(seen, spoken)
    if seen.bars:
        yield Text(f"{told('One round')} ({seen.shown})", style="bold")
        yield _gantt(seen.bars, spoken)
    yield _sites(seen, spoken)
    yield _inputs(seen, spoken)
    yield Text(told("What was assumed"), style="bold")
    for note in seen.notes:
        yield Text(f"- {told(note)}")


def foretold(seen: Foreseen, spoken: Language) -> str:
    """A forecast in a line."""
    return f"{translate('Time until the answer', spoken)}{colon(spoken)}{between(seen.total, spoken)}"


def beside(compared: Sequence[Compared], spoken: Language) -> Table:
    """What was forecast, and what came."""
    table = _table(spoken, "forecast beside actual", "forecast", "90 %", "actual", "difference")
    for one in compared:
        residual = one.residual
        doubted = residual.part == "times" and residual.predicted.low < residual.predicted.high
        if not (residual.part in SHOWN_PARTS or doubted) or residual.seen <= 0:
            continue
        tell = TELLING.get(residual.predicted.unit, _number)
        ends = f"{tell(residual.predicted.low)} - {tell(residual.predicted.high)}"
        name = translate(residual.part, spoken) + (f" {residual.subject}" if residual.part == "times" else "")
        table.add_row(Text(name), tell(residual.predicted.value), ends, tell(residual.seen), f"{100 * residual.relative:+.0f} %")
    return table


def between(quantity: Quantity, spoken: Language) -> str:
    """A median of seconds with its interval."""
    ends = f"{duration(quantity.low)} - {duration(quantity.high)}"
    return f"{duration(quantity.value)} (90 %: {ends})" if spoken == "en" else f"{duration(quantity.value)}（90 %：{ends}）"


def duration(seconds: float) -> str:
    """Seconds for a reader.

    >>> duration(0.0123), duration(75), duration(9000), duration(400_000)
    ('12.3 ms', '75 s', '2.5 h', '4.63 d')
    """
    if seconds < 1:
        scale, unit = (1e3, "ms") if seconds >= 1e-3 or seconds == 0 else (1e6, "µs")
        return f"{seconds * scale:.3g} {unit}"
    for unit, size in (("s", 1.0), ("min", MINUTE_S), ("h", HOUR_S)):
        if seconds < 90 * size or (unit == "h" and seconds < 2 * DAY_S):
            return f"{seconds / size:.3g} {unit}" if seconds / size < 1000 else f"{seconds / size:,.0f} {unit}"
    return f"{seconds / DAY_S:.3g} d"


def per_cent(share: float) -> str:
    """A share for a reader; draws do not tell more than a per cent."""
    return f"{100 * share:.0f} %"


def _bytes(quantity: Quantity) -> str:
    return f"{show_bytes(quantity.value)} ({show_bytes(quantity.low)} - {show_bytes(quantity.high)})"


def _parts(seen: Foreseen, spoken: Language) -> Table:
    table = _table(spoken, "where the time goes", "time", "share", "")
    whole = sum(one.value for one in seen.parts.values()) or 1.0
    for name, one in seen.parts.items():
        if one.value > 0:
            share = one.value / whole
            table.add_row(translate(name, spoken), duration(one.value), per_cent(share), "█" * round(share * WIDE))
    return table


def _number(value: float) -> str:
    return f"{value:.4g}"


TELLING: dict[str, Callable[[float], str]] = {"s": duration, "byte": show_bytes}


def _gantt(bars: tuple[Bar, ...], spoken: Language) -> Table:
    ends = max(one.ends_s for one in bars) or 1.0
    rows: dict[str, list[str]] = {}
    for one in bars:
        row = rows.setdefault(one.site, [" "] * WIDE)
        first = min(int(one.begins_s / ends * WIDE), WIDE - 1)
        for place in range(first, max(first + 1, min(round(one.ends_s / ends * WIDE), WIDE))):
            row[place] = INKS.get(one.part, "?")
    table = Table(box=None, pad_edge=False, show_header=False)
    for site, row in sorted(rows.items(), key=lambda pair: (pair[0] == "", pair[0])):
        table.add_row(Text(site or translate("the hub", spoken)), Text("".join(row)))
    keys = {"compute": "█", "protect": "▓", "download": "▒", "wait": "·"}
    parts = ", ".join(f"{ink} {translate(part, spoken)}" for part, ink in keys.items())
    table.add_row("", Text(f"0 - {duration(ends)}   {parts}", style="dim"))
    return table


def _sites(seen: Foreseen, spoken: Language) -> Table:
    travels = seen.engine == "wire"
    heads = ("site", "rows", *(("to it", "from it") if travels else ()), "answers", "work")
    table = _table(spoken, *heads)
    for one in sorted(seen.sites, key=lambda one: -one.work_s)[:MOST_SITES]:
        lines = (show_bytes(one.down), show_bytes(one.up)) if travels else ()
        table.add_row(one.site, f"{one.rows:,.0f}", *lines, show_bytes(one.left), duration(one.work_s))
    if len(seen.sites) > MOST_SITES:
        table.caption = translate(f"and {len(seen.sites) - MOST_SITES} more sites", spoken)
    return table


def _inputs(seen: Foreseen, spoken: Language) -> Table:
    table = _table(spoken, "relied on", "value", "give or take", "how it is known", "age")
    for one in seen.relied_on[:MOST_INPUTS]:
        value, age = one.value, "" if one.age_s is None else duration(one.age_s)
        said = translate(value.provenance, spoken) + (f" ({translate(value.source, spoken)})" if value.source else "")
        spread = "" if value.spread == 1 else f"× {value.spread:.3g}"
        table.add_row(one.name, f"{value.value:.4g} {value.unit if value.unit not in ('1', 'count') else ''}", spread, said, age)
    return table


def _table(spoken: Language, *heads: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, head in enumerate(heads):
        right = head in (
            "time",
            "share",
            "rows",
            "to it",
            "from it",
            "answers",
            "work",
            "value",
            "age",
            "forecast",
            "actual",
            "difference",
            "90 %",
        )
        table.add_column(translate(head, spoken), justify="right" if right and place else "left", overflow="fold")
    return table
