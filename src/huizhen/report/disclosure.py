"""The disclosure record: what left each hospital, what was refused, whose policy said so, and how to check it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from huizhen.report import numerals
from huizhen.report.content import Left, ReportContent
from huizhen.report.grid import Cell, Grid, Head
from huizhen.report.words import Phrase, as_is, name_of, say, told

__all__ = ["detail_grid", "lane_of", "ledger_grid", "left_grid", "left_out_grid", "policy_grid", "refusal_grid", "run_grid"]

KINDS = ("addend", "counts", "individual", "masked")
LANES = ("embedded", "plain", "masked")


def kind_of(kind: str) -> Phrase:
    """A kind of release in the reader's words."""
    return say(f"kind.{kind}") if kind in KINDS else as_is(kind)


def bytes_cell(count: int) -> Cell:
    """Bytes for the eye."""
    return Cell(as_is(numerals.size(count)), as_is(f"{count} B"), "number")


def count_cell(count: int) -> Cell:
    """A whole number."""
    return Cell(as_is(numerals.short(count)), as_is(str(count)), "number")


def left_grid(left: Sequence[Left]) -> Grid:
    """One row for each hospital: bytes by kind, bytes and numbers in all."""
    kinds = tuple(dict.fromkeys([*(k for k in KINDS if any(one.kind == k for one in left)), *sorted({one.kind for one in left})]))
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for one in left:
        sums[one.site, f"bytes.{one.kind}"] += one.bytes
        sums[one.site, "bytes"] += one.bytes
        sums[one.site, "numbers"] += one.numbers
        sums[one.site, "times"] += one.times
    sites = tuple(dict.fromkeys(one.site for one in left))
    for site in sites:
        for name in ("bytes", "numbers", "times", *(f"bytes.{kind}" for kind in kinds)):
            sums["", name] += sums[site, name]

    def cells(site: str) -> tuple[Cell, ...]:
        by_kind = (bytes_cell(sums[site, f"bytes.{kind}"]) for kind in kinds)
        return (*by_kind, bytes_cell(sums[site, "bytes"]), count_cell(sums[site, "numbers"]), count_cell(sums[site, "times"]))

    heads = (
        Head(say("site"), numeric=False),
        *(Head(kind_of(kind)) for kind in kinds),
        Head(say("bytes")),
        Head(say("numbers")),
        Head(say("times")),
    )
    rows = tuple((Cell(as_is(site)), *cells(site)) for site in sites)
    return Grid(say("left_caption"), heads, rows, foot=(Cell(say("total")), *cells("")))


def detail_grid(left: Sequence[Left]) -> Grid:
    """Part by part, over all hospitals."""
    sums: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for one in left:
        for i, amount in enumerate((one.times, one.bytes, one.numbers)):
            sums[one.analysis, one.what, one.kind][i] += amount
    rows = tuple(
        (
            Cell(as_is(analysis)),
            Cell(as_is(what)),
            Cell(kind_of(kind)),
            count_cell(times),
            bytes_cell(size),
            count_cell(numbers),
        )
        for (analysis, what, kind), (times, size, numbers) in sums.items()
    )
    heads = (
        Head(say("analysis"), numeric=False),
        Head(say("what"), numeric=False),
        Head(say("kind"), numeric=False),
        Head(say("times")),
        Head(say("bytes")),
        Head(say("numbers")),
    )
    return Grid(say("left_detail"), heads, rows, labels=2)


def left_out_grid(content: ReportContent) -> Grid:
    """Hospitals that took no part, with the reason; the same reason once."""
    grouped: dict[tuple[str, int, str], list[str]] = defaultdict(list)
    for one in content.left_out:
        grouped[one.analysis, one.rounds, one.reason].append(one.site)
    rows = tuple(
        (Cell(as_is(", ".join(sites))), Cell(_from_what(analysis, rounds)), Cell(told(reason)))
        for (analysis, rounds, reason), sites in grouped.items()
    )
    heads = (Head(say("site"), numeric=False), Head(say("from_what"), numeric=False), Head(say("reason"), numeric=False))
    return Grid(say("left_out"), heads, rows)


def _from_what(analysis: str, rounds: int) -> Phrase:
    if not analysis:
        return say("whole_study")
    if not rounds:
        return as_is(analysis)
    without = say("rounds_without", count=rounds)
    return Phrase(f"{analysis}, {without.en}", f"{analysis}，{without.zh}")


def refusal_grid(content: ReportContent) -> Grid:
    """Every decision of a policy against a release or a publication; the same decision of several hospitals once."""
    grouped: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for one in content.refusals:
        grouped[one.analysis, one.what, one.reason].append(one.site)
    rows = tuple(
        (
            Cell(say("joint_policy") if sites == [""] else as_is(", ".join(site or "—" for site in sites))),
            Cell(as_is(analysis)),
            Cell(name_of(what)),
            Cell(told(reason)),
        )
        for (analysis, what, reason), sites in grouped.items()
    )
    heads = tuple(Head(say(name), numeric=False) for name in ("by_whom", "analysis", "what", "reason"))
    return Grid(say("refusals"), heads, rows)


def policy_grid(content: ReportContent) -> Grid:
    """Clauses down, policies across; hospitals with the same policy share a column."""
    grouped: dict[tuple[tuple[str, str], ...], list[str]] = defaultdict(list)
    for site, clauses in content.policies.items():
        grouped[tuple(sorted(clauses.items()))].append(site)
    named = [(", ".join(sites), dict(clauses)) for clauses, sites in grouped.items()]
    names = tuple(dict.fromkeys(clause for policy in content.policies.values() for clause in policy))
    rows = tuple((Cell(as_is(clause)), *(Cell(told(policy.get(clause, "–"))) for _, policy in named)) for clause in names)
    heads = (Head(say("clause"), numeric=False), *(Head(as_is(sites), numeric=False) for sites, _ in named))
    return Grid(say("policies"), heads, rows)


def ledger_grid(content: ReportContent) -> Grid:
    """The newest entry of every hospital's ledger."""
    rows = tuple(
        (Cell(as_is(one.site)), count_cell(one.entries), Cell(as_is(one.head)), Cell(as_is(one.public_key)))
        for one in content.ledgers
    )
    heads = (
        Head(say("site"), numeric=False),
        Head(say("entries")),
        Head(say("head"), numeric=False),
        Head(say("public_key"), numeric=False),
    )
    return Grid(say("ledgers"), heads, rows)


def lane_of(content: ReportContent) -> Phrase:
    """The lane with what it means."""
    return say(f"lane.{content.lane}") if content.lane in LANES else as_is(content.lane)


def run_grid(content: ReportContent) -> Grid:
    """What identifies the run."""
    pairs = (
        ("digest", as_is(content.study_digest)),
        ("run", as_is(content.run)),
        ("started", as_is(content.started.isoformat(sep=" ", timespec="seconds"))),
        ("took", numerals.duration(content.seconds)),
        ("engine", as_is(content.engine)),
        ("lane", lane_of(content)),
        ("version", as_is(content.version)),
    )
    rows = tuple((Cell(say(name)), Cell(value)) for name, value in pairs)
    return Grid(say("run_facts"), (Head(as_is(""), numeric=False), Head(say("value"), numeric=False)), rows)
