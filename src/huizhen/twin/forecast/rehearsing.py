"""A study rehearsed on cards: the course, and what was witnessed of it; large rosters are grown from small ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from huizhen.errors import CallerError, Problem
from huizhen.federation.study import Study
from huizhen.policy.disclosure import DisclosurePolicy
from huizhen.twin.course import Course
from huizhen.twin.forecast.witness import Witnessed, unclocked, witnessed
from huizhen.twin.simulate.engine import unpadded
from huizhen.twin.simulate.federation import Standins
from huizhen.twin.simulate.growing import SIZES, grown
from huizhen.twin.simulate.rehearsal import Demand, rehearse
from huizhen.twin.simulate.standins import read_as, rows_from_cards

__all__ = ["Prepared", "rehearsed_on_cards"]

ROWS, MORE_ROWS, IMAGES = 150, 600, 16  # that stand in for a site's
RANGE_SPREAD = 4.0  # of bytes that depend on how far a number reaches, where no card tells
MANY = 40  # sites from which on a roster is grown
Cards = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a rehearsal gave.

    Attributes:
        rows: as the cards tell, by site of the roster.
        left_spread: by what factor bytes may be more or fewer.
    """

    course: Course
    witnessed: Witnessed
    rows: Mapping[str, int]
    notes: tuple[str, ...]
    left_spread: float = 1.0


def rehearsed_on_cards(
    study: Study,
    cards: Cards,
    policies: Mapping[str, DisclosurePolicy],
    *,
    demand: Demand,
    clocks: tuple[Callable[[], float], Callable[[], float]],
    seed: int,
    one_process: bool = False,
) -> Prepared:
    """The course of a study on sites of which cards tell.

    Args:
        policies: by site; the strict default where there is none.
        clocks: processor seconds of this thread, and seconds that pass.
        one_process: whether the study will run in one process.

    Raises:
        CallerError: no card tells of rows, or none of a variable; the study cannot be rehearsed on them.
    """
    told = {site: card for site, card in cards.items() if card.get("rows")}
    silent = [site for site in cards if site not in told]
    if not told:
        problems = [Problem(f"site {site}", "a card of too few rows", "a number of rows") for site in silent]
        raise CallerError(
            "Nothing can be foreseen from these cards.", problems or [Problem("cards", "none", "a card of each site")]
        )
    rows = {site: int(card["rows"]) for site, card in told.items()}
    told_of = ", ".join(silent)
    notes = [f"{told_of}: a card that tells of no rows; taken to have too few, and to take no part."] if silent else []
    if study.cohort.include or study.cohort.exclude:
        notes.append("The cohort's conditions are not applied to what cards tell: all rows of a site are taken to be in it.")
    is_images = any(one["kind"] == "image" for card in told.values() for one in card["variables"])
    few = max(IMAGES if is_images else ROWS, 2 * study.participants.min_rows)
    chosen = policies or {}

    def standins(sites: Mapping[str, Mapping[str, Any]], count: int) -> Standins:
        enough = {site: {**card, "rows": max(int(card["rows"]), count)} for site, card in sites.items()}  # for cells of few rows
        tables, variables = rows_from_cards(study, enough, rows=count, seed=seed)
        there = {site: chosen.get(site, DisclosurePolicy()) for site in sites}
        return Standins(study, tables, there, variables, seed, one_process=one_process)

    unknown = _unknown(study, told)
    notes += [f"No card tells the range of {name}: it is taken to lie between 1 and 1000." for name in unknown]
    spread = RANGE_SPREAD if unknown else 1.0
    if len(told) > MANY:
        here = standins(dict(list(told.items())[: SIZES[0]]), few)
        course = _grown(told, rows, lambda sites: replace(standins(sites, few), measure=unpadded), demand)
    else:
        here = standins(told, few)
        course = rehearse(here, rows=rows, demand=demand)
    if clocks[0] is unclocked:  # what left is known, what it took is not
        seen = witnessed(here, None, unclocked)
        return Prepared(course, replace(seen, answering={}, leading=0.0), rows, tuple(notes), spread)
    many = None if is_images else standins({site: told[site] for site in here.tables}, max(MORE_ROWS, few))
    return Prepared(course, witnessed(here, many, *clocks), rows, tuple(notes), spread)


def _unknown(study: Study, told: Cards) -> list[str]:
    """Numbers of the study of which no card tells how they lie: what is counted along them may be more or less."""
    known, numbers = set(), dict[str, None]()
    for card in told.values():
        for one in card["variables"]:
            numbers |= {one["name"]: None} if one["kind"] in ("number", "identifier") else {}
            known |= {one["name"]} if one["kind"] == "number" and (one["levels"] or one["low"] is not None) else set()
    ranges = {name for name, variable in read_as(study, told).items() if variable.range is not None or variable.kind != "number"}
    return [name for name in numbers if name in study.uses and name not in known | ranges]


def _grown(
    told: Cards,
    rows: Mapping[str, int],
    standins: Callable[[Cards], Standins],
    demand: Demand,
) -> Course:
    courses = []
    for size in SIZES:
        some = dict(list(told.items())[:size])
        here = standins(some)
        quorum = min(here.study.participants.quorum, size)
        participants = here.study.participants.model_copy(update={"quorum": quorum, "sites": list(some)})
        here = replace(here, study=replace(here.study, participants=participants))
        courses.append(rehearse(here, rows={site: rows[site] for site in some}, demand=demand))
    return grown(courses, tuple(told), rows)
