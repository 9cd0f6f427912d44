"""The report in order, as facts for the template: the short answer, who took part, each analysis with its grids and plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from huizhen.privacy.result import Result, Table
from huizhen.report import curves, forest, numerals, plots
from huizhen.report.alone import alone_grid, reasons
from huizhen.report.comparison import beside, brief, every_column, facts_grid
from huizhen.report.content import Analysis, ReportContent
from huizhen.report.grid import Grid, counts_grid
from huizhen.report.learned import LEARNED
from huizhen.report.plots import Plot
from huizhen.report.quality import LEADING, quality_grids, sentence, unjudged
from huizhen.report.table_one import table_one_grid
from huizhen.report.words import Phrase, as_is, label, name_of, say, told

__all__ = ["Chapter", "Finding", "Stat", "chapters", "findings", "short_answer", "stats"]

MOST_FINDINGS = 3


@dataclass(frozen=True, slots=True)
class Stat:
    """A large figure with what it counts."""

    figure: Phrase
    text: Phrase
    exact: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """The most important number of an analysis."""

    name: Phrase
    text: Phrase


@dataclass(frozen=True, slots=True)
class Chapter:
    """One analysis, ready to be laid out."""

    key: str
    title: Phrase
    method: Phrase
    meta: tuple[Phrase, ...]
    findings: tuple[Finding, ...]
    failure: Phrase | None
    grids: tuple[Grid, ...]
    plots: tuple[Plot, ...]
    remarks: tuple[Phrase, ...]
    facts: Grid | None
    opens_facts: bool  # the facts are what the analysis is about
    folded: tuple[Grid, ...]  # long or wide tables
    alone: Grid | None
    reasons: tuple[tuple[Phrase, tuple[str, ...]], ...]
    notes: tuple[Phrase, ...]
    withheld: tuple[tuple[Phrase, Phrase], ...]


def worst(values: Sequence[float | None]) -> float | None:
    """The largest difference that is known."""
    known = [value for value in values if value is not None]
    return max(known) if known else None


def short_answer(content: ReportContent) -> tuple[Phrase, ...]:
    """A paragraph in plain words."""
    rows = sum(content.participants.values())
    sites = len(content.participants)
    sentences = [say("short_who_one" if sites == 1 else "short_who", sites=sites, rows=numerals.short(rows))]
    gap = worst([analysis.difference for analysis in content.analyses])
    sentences += [told for told in map(sentence, content.analyses) if told is not None]
    if gap is None:
        sentences += [] if any(analysis.pooled for analysis in content.analyses) else [say("short_not_pooled")]
    elif gap == 0:
        sentences.append(say("short_pooled_exact"))
    else:
        sentences.append(say("short_pooled", difference=numerals.difference(gap)))
    for name in dict.fromkeys(a.reference_name for a in content.analyses if a.reference_name):
        apart = worst([a.reference_difference for a in content.analyses if a.reference_name == name])
        if apart is not None:
            sentences.append(say("short_reference", name=name, difference=numerals.difference(apart)))
    failed = sum(bool(analysis.federation.failure) for analysis in content.analyses)
    if failed:
        sentences.append(say("short_failed", count=failed, all=len(content.analyses)))
    out = len({one.site for one in content.left_out if not one.rounds})
    if out:
        sentences.append(say("short_left_out", count=out))
    away = len({one.site for one in content.left_out if one.rounds})
    if away:
        sentences.append(say("short_away", count=away))
    return tuple(sentences)


def stats(content: ReportContent) -> tuple[Stat, ...]:
    """The figures at the top of the page."""
    rows, left = sum(content.participants.values()), sum(one.bytes for one in content.left)
    gap = worst([analysis.difference for analysis in content.analyses])
    found = [
        Stat(as_is(str(len(content.participants))), say("stat_sites")),
        Stat(as_is(numerals.short(rows)), say("stat_rows"), str(rows)),
    ]
    if gap is not None:
        found.append(Stat(say("exact") if gap == 0 else as_is(numerals.difference(gap)), say("stat_difference"), repr(gap)))
    return (*found, Stat(as_is(numerals.size(left)), say("stat_bytes"), f"{left} B"))


def chapters(content: ReportContent) -> tuple[Chapter, ...]:
    """Every analysis in the study's order."""
    return tuple(chapter(analysis, f"a{number}") for number, analysis in enumerate(content.analyses, 1))


def chapter(analysis: Analysis, key: str) -> Chapter:
    """One analysis."""
    result = analysis.federation
    names = () if result.failure else tuple(result.tables)
    assembled = table_one_grid(result)
    long = names if assembled else tuple(name for name in names if is_long(name, result.tables[name]))
    wide = () if assembled else tuple(name for name in names if spares(result.tables[name]))
    drawn = plots.of_analysis(analysis, key)
    cells = () if result.failure else tuple(result.cells.items())
    bars = tuple(plots.of_cells(table, f"{key}-cells{i}") for i, (_, table) in enumerate(() if assembled else cells, 1))
    counts = tuple(counts_grid(table, caption_of(table.caption, name)) for name, table in cells)
    return Chapter(
        key=key,
        title=as_is(analysis.label),
        method=label(result.method),
        meta=meta(analysis),
        findings=findings(result),
        failure=told(result.failure) if result.failure else None,
        grids=helped_once(
            [
                *([assembled] if assembled else []),
                *(() if result.failure else quality_grids(analysis)),
                *(beside(analysis, name, caption_of(result.tables[name].caption, name)) for name in names if name not in long),
                *(counts if not assembled else ()),
            ]
        ),
        plots=(*drawn, *(plot for plot in bars if plot is not None)),
        remarks=remarks(analysis),
        facts=None if result.failure else facts_grid(analysis),
        opens_facts=result.facts.get("p_value") is not None and "coefficients" not in result.tables,
        folded=(
            *(counts if assembled else ()),
            *(beside(analysis, name, caption_of(result.tables[name].caption, name)) for name in long),
            *(
                beside(analysis, name, say("every_column", caption=caption_of(result.tables[name].caption, name)), every_column)
                for name in wide
            ),
        ),
        alone=None if result.failure else alone_grid(analysis),
        reasons=reasons(analysis),
        notes=(*map(told, result.notes), *unjudged(analysis)),
        withheld=withheld_of(result),
    )


def withheld_of(result: Result) -> tuple[tuple[Phrase, Phrase], ...]:
    """What is withheld, by reason: each reason once."""
    grouped: dict[str, list[Phrase]] = {}
    for one in result.withheld:
        grouped.setdefault(one.reason, []).append(name_of(one.what))
    return tuple(
        (Phrase(", ".join(w.en for w in what), "、".join(w.zh for w in what)), told(reason)) for reason, what in grouped.items()
    )


def helped_once(grids: Sequence[Grid]) -> tuple[Grid, ...]:
    """The grids, each explanation under the first of them that needs it."""
    told: set[Phrase | None] = set()
    kept = []
    for grid in grids:
        kept.append(replace(grid, help=None) if grid.help in told else grid)
        told.add(grid.help)
    return tuple(kept)


def is_long(name: str, table: Table) -> bool:
    """Whether a table is what a plot shows: a curve, the course of learning or a matrix of correlations."""
    return name in ("correlation", *LEARNED) or ("survival" in table.columns and "time" in table.columns)


def spares(table: Table) -> bool:
    """Whether columns of a table do not stand in its brief form."""
    return len(brief(table, 0.95)) < len(every_column(table, 0.95))


def caption_of(caption: str, name: str) -> Phrase:
    """A table's own caption, or its name."""
    return told(caption.rstrip(".")) if caption else label(name)


def meta(analysis: Analysis) -> tuple[Phrase, ...]:
    """Hospitals, patients, rounds and the equality, in small print under the title."""
    result = analysis.federation
    found = []
    if result.roster:
        found.append(say("hospitals_behind", count=len(result.roster)))
    if result.rows:
        found.append(say("patients_behind", count=numerals.short(result.rows)))
    if analysis.rounds:
        found.append(say("rounds_one") if analysis.rounds == 1 else say("rounds", count=analysis.rounds))
    return tuple(found)


def remarks(analysis: Analysis) -> tuple[Phrase, ...]:
    """Equality with the other sides, in words."""
    if analysis.federation.failure:
        return ()
    found = []
    for name, gap in ((say("pooled"), analysis.difference), (as_is(analysis.reference_name), analysis.reference_difference)):
        if gap is not None:
            told = say("equal_exactly") if gap == 0 else say("equal_to", difference=numerals.difference(gap))
            found.append(Phrase(f"{name.en}: {told.en}", f"{name.zh}：{told.zh}"))
    return (*found, *cells_remark(analysis))


def cells_remark(analysis: Analysis) -> tuple[Phrase, ...]:
    """How many published counts equal those of the pooled rows; a withheld cell is not compared."""
    if analysis.pooled is None or analysis.pooled.failure or analysis.federation.failure:
        return ()
    same = differ = 0
    for name, table in analysis.federation.cells.items():
        other = analysis.pooled.cells.get(name)
        if other is None or other.counts.shape != table.counts.shape:
            continue
        known = (table.counts >= 0) & (other.counts >= 0)
        same += int((known & (table.counts == other.counts)).sum())
        differ += int((known & (table.counts != other.counts)).sum())
    if differ:
        return (say("cells_differ", differ=differ, count=same + differ),)
    return (say("cells_same", count=same),) if same else ()


def findings(result: Result) -> tuple[Finding, ...]:
    """What a reader wants to know first: ratios or coefficients with limits, else a test."""
    if result.failure:
        return (Finding(say("failed"), told(result.failure)),)
    found = forest.estimates(result)
    if found is not None:
        p = p_values(result, found.terms)
        first = [
            Finding(
                as_is(term),
                Phrase(
                    *(f"{label(found.measure).within(lang)} {forest.reading(found, i).within(lang)}{p[i]}" for lang in ("en", "zh"))
                ),
            )
            for i, term in enumerate(found.terms[:MOST_FINDINGS])
        ]
        more = len(found.terms) - MOST_FINDINGS
        return (*first, Finding(as_is("…"), say("glance_more", count=more))) if more > 0 else tuple(first)
    return learnt(result) or tested(result)


def learnt(result: Result) -> tuple[Finding, ...]:
    """How good a learned model's predictions are, by the leading measure of each label."""
    table = result.tables.get("quality")
    if table is None or "measure" not in table.columns:
        return ()
    names = table.columns["measure"]
    leading = next((name for name in LEADING if name in names), "")
    found = []
    for i, name in enumerate(names):
        value, low, high = (table.columns[column][i] for column in ("estimate", "ci_low", "ci_high"))
        if name != leading or not numerals.is_number(value):
            continue
        text = numerals.short(float(value), 3)
        if numerals.is_number(low) and numerals.is_number(high):
            text = f"{text} ({numerals.short(float(low), 3)}–{numerals.short(float(high), 3)})"
        of = str(table.columns["label"][i]) if "label" in table.columns else ""
        words = label(of) if of == "macro" else as_is(of)
        found.append(Finding(label(name), Phrase(f"{words.en} {text}".strip(), f"{words.zh} {text}".strip())))
    return tuple(found[:MOST_FINDINGS])


def p_values(result: Result, terms: Sequence[str]) -> list[str]:
    """``, p = 0.002`` for each term, or nothing."""
    table = result.tables["coefficients"]
    names = table.columns.get(table.index) or table.columns["term"]
    by_term = dict(zip(map(str, names), table.columns.get("p_value", (None,) * len(names))))
    return [spoken_p(by_term.get(term)) for term in terms]


def spoken_p(value: object) -> str:
    """A p-value at the end of a clause."""
    if not numerals.is_number(value):
        return ""
    text = numerals.p_value(value)
    return f", p {text}" if text[0] in "<>" else f", p = {text}"


def tested(result: Result) -> tuple[Finding, ...]:
    """The main test of a result: chi-square, t or F with its p-value; of curves the groups compared."""
    name = next((n for n in ("chi2", "t", "f", "z") if numerals.is_number(result.facts.get(n))), "")
    p = spoken_p(result.facts.get("p_value"))
    if name and p:
        groups = tuple(c.group for c in curves.curves(result) if c.group)
        title = as_is(" / ".join(groups[:4])) if groups else label(name)
        value = numerals.short(result.facts[name])
        return (Finding(title, Phrase(*(f"{label(name).within(lang)} {value}{p}" for lang in ("en", "zh")))),)
    return ()
