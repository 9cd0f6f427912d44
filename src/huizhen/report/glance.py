"""What a reader wants to know first of an analysis: ratios with their limits, how good a model's predictions are, or a test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from huizhen.privacy.result import Result
from huizhen.report import curves, forest, numerals
from huizhen.report.quality import LEADING
from huizhen.report.words import Language, Phrase, as_is, label, say, told

__all__ = ["Finding", "findings"]

MOST_FINDINGS = 3
LANGUAGES: tuple[Language, Language] = ("en", "zh")


@dataclass(frozen=True, slots=True)
class Finding:
    """The most important number of an analysis."""

    name: Phrase
    text: Phrase


def findings(result: Result) -> tuple[Finding, ...]:
    """What a reader wants to know first: ratios or coefficients with limits, else a test."""
    if result.failure:
        return (Finding(say("failed"), told(result.failure)),)
    found = forest.estimates(result)
    if found is not None:
        p, name = p_values(result, found.terms), label(found.measure)
        first = [
            Finding(as_is(term), clause(name, forest.reading(found, i), p[i])) for i, term in enumerate(found.terms[:MOST_FINDINGS])
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


def clause(name: Phrase, value: Phrase, p: Phrase) -> Phrase:
    """A name with its value and what stands behind it."""
    return Phrase(*(f"{name.within(lang)} {value.within(lang)}{p.within(lang)}" for lang in LANGUAGES))


def p_values(result: Result, terms: Sequence[str]) -> list[Phrase]:
    """``, p = 0.002`` for each term, or nothing."""
    table = result.tables["coefficients"]
    names = table.columns.get(table.index) or table.columns["term"]
    by_term = dict(zip(map(str, names), table.columns.get("p_value", (None,) * len(names))))
    return [spoken_p(by_term.get(term)) for term in terms]


def spoken_p(value: object) -> Phrase:
    """A p-value at the end of a clause."""
    if not numerals.is_number(value):
        return as_is("")
    text = numerals.p_value(value)
    said = f"p {text}" if text[0] in "<>" else f"p = {text}"
    return Phrase(f", {said}", f"，{said}")


def tested(result: Result) -> tuple[Finding, ...]:
    """The main test of a result: chi-square, t or F with its p-value; of curves the groups compared."""
    name = next((n for n in ("chi2", "t", "f", "z") if numerals.is_number(result.facts.get(n))), "")
    p = spoken_p(result.facts.get("p_value"))
    if name and p.en:
        groups = tuple(c.group for c in curves.curves(result) if c.group)
        title = as_is(" / ".join(groups[:4])) if groups else label(name)
        return (Finding(title, clause(label(name), as_is(numerals.short(result.facts[name])), p)),)
    return ()
