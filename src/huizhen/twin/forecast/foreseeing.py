"""What is foreseen of a study: rehearsed on stand-ins from cards, played on a mirror, corrected by what earlier runs taught.

    seen = foresee(study, cards, mirror, across_hospitals(cpu_seconds), NOTHING_LEARNT, made=now)
    seen.total, seen.in_time, seen.digest

No row is read: what the cards tell is all that is known of the sites' data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

import numpy as np

from huizhen.federation.study import Study
from huizhen.policy.disclosure import DisclosurePolicy
from huizhen.twin.course import Course
from huizhen.twin.forecast.foreseen import PETAFLOP_DAY, Foreseen
from huizhen.twin.forecast.naive import naive_seconds
from huizhen.twin.forecast.oneprocess import in_one_process
from huizhen.twin.forecast.prepared import handled, taught
from huizhen.twin.forecast.rehearsing import Prepared, rehearsed_on_cards
from huizhen.twin.forecast.relied import relied_on
from huizhen.twin.forecast.rounds import bars_of, kinds_of, settled_in_turn, sites_of
from huizhen.twin.mirror import Device, Mirror
from huizhen.twin.network.topology import hub_paths
from huizhen.twin.quantity import Quantity, widened
from huizhen.twin.shadow.factors import AT_90
from huizhen.twin.shadow.learnt import NOTHING_LEARNT, Learnt
from huizhen.twin.simulate.forecast import Forecast
from huizhen.twin.simulate.models import Models
from huizhen.twin.simulate.play import play
from huizhen.twin.simulate.rehearsal import Demand

__all__ = ["Asked", "Foretelling", "foresee", "foresee_course", "prepare"]

LOW, HIGH = 0.05, 0.95
WORK = ("compute", "protect")
AT_LEAST_S = 1e-9
REST_SPREAD = {"wire": 1.25, "in-process": 3.0}  # of all but work, before any run was seen: threads wait for a busy machine


class Foretelling(Protocol):
    """What a forecast is made with (`huizhen.twin.assembled`)."""

    @property
    def models(self) -> Models: ...

    @property
    def demand(self) -> Demand: ...

    @property
    def clock(self) -> Callable[[], float]: ...

    @property
    def wall(self) -> Callable[[], float]: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a forecast.

    Attributes:
        deadline_s: 0: none.
    """

    draws: int = 200
    seed: int = 0
    deadline_s: float = 0.0


def foresee(
    study: Study,
    cards: Mapping[str, Mapping[str, Any]],
    mirror: Mirror,
    by: Foretelling,
    history: Learnt = NOTHING_LEARNT,
    *,
    made: datetime,
    asked: Asked | None = None,
    policies: Mapping[str, DisclosurePolicy] | None = None,
) -> Foreseen:
    """What is foreseen of a study.

    Args:
        cards: what each site tells of its table, as `huizhen.data.card.Card.to_dict`.
        mirror: without links, all sites are in one process.
        history: what earlier runs taught.
        made: now.
        policies: the sites' disclosure policies; the strict default where there is none.

    Raises:
        CallerError: the cards tell too little, the mirror lacks a site or its line, or the study cannot be rehearsed.
    """
    if mirror.links:
        hub_paths(mirror, [site for site, card in cards.items() if card.get("rows")])  # before the work
    asked = asked or Asked()
    prepared = prepare(study, cards, by, seed=asked.seed, policies=policies or {}, one_process=not mirror.links)
    return foresee_course(prepared, mirror, by.models, history, made=made, asked=asked)


def prepare(
    study: Study,
    cards: Mapping[str, Mapping[str, Any]],
    by: Foretelling,
    *,
    seed: int,
    policies: Mapping[str, DisclosurePolicy],
    one_process: bool,
) -> Prepared:
    """The study rehearsed, to be foreseen on one mirror or many.

    Raises:
        CallerError: the cards tell too little, or the study cannot be rehearsed on them.
    """
    return rehearsed_on_cards(
        study,
        cards,
        policies,
        demand=by.demand,
        clocks=(by.clock, by.wall),
        seed=seed,
        one_process=one_process,
    )


def foresee_course(
    prepared: Prepared, mirror: Mirror, models: Models, history: Learnt, *, made: datetime, asked: Asked | None = None
) -> Foreseen:
    """What is foreseen of a study that was rehearsed already: on another mirror, or with other models.

    Raises:
        CallerError: the mirror lacks a site or its line.
    """
    asked, travels = asked or Asked(), bool(mirror.links)
    hub_paths(mirror, list(prepared.rows) if travels else [])  # every site is declared, and a line leads to it
    course = prepared.course if travels else in_one_process(prepared.course)
    course = handled(_as_often(course, history), prepared.witnessed, prepared.rows, models, _here(mirror))
    wise = taught(models, history)
    kinds = kinds_of(course, mirror, wise, models, prepared.witnessed.left)
    engine = "wire" if travels else "in-process"
    factor, sd = history.rest.factor({"engine": engine, "study": course.study}) if history.rest.count else (1.0, 0.0)
    forecast = play(course, mirror, wise, seed=asked.seed, draws=asked.draws)
    forecast = _with_rest(forecast if travels else settled_in_turn(forecast), factor, sd, REST_SPREAD[engine], asked.seed)
    told = forecast.prediction
    total, parts = history.total(told.total), told.parts
    sites = sites_of(course, prepared.rows, kinds)
    flop = sum(one.flop for one in sites)
    shown, bars = bars_of(course, mirror, wise, travels=travels)
    notes = (*mirror.notes, *prepared.notes, *course.notes, *_said(course, prepared, history, forecast))
    return Foreseen(
        study=course.study,
        title=course.title,
        engine=engine,
        made=made,
        draws=asked.draws,
        seed=asked.seed,
        total=total,
        parts=parts,
        rest_factor=factor,
        rounds=_spread(forecast.rounds, "count"),
        moved=widened(_spread(forecast.bytes, "byte"), prepared.left_spread),
        ends=forecast.ends,
        late=forecast.late,
        deadline_s=asked.deadline_s,
        in_time=forecast.ends * _within(forecast, total, told.total, asked.deadline_s) if asked.deadline_s else forecast.ends,
        naive_s=naive_seconds(course, mirror),
        operations_pfd=flop / PETAFLOP_DAY,
        hardware_pfd=sum(one.work_s * mirror.devices[mirror.sites[one.site].device].peak.value for one in sites) / PETAFLOP_DAY,
        left_spread=prepared.left_spread,
        sites=sites,
        kinds=kinds,
        shown=shown,
        bars=bars,
        relied_on=relied_on(course, mirror, made),
        notes=tuple(dict.fromkeys(notes)),
    )


def _as_often(course: Course, history: Learnt) -> Course:
    """Steps come as often as they came in earlier runs of this very study: the commonest kind of each has what others leave."""
    often, rounds = history.often(course.study), list(course.rounds)
    for (analysis, step), count in often.items():
        mine = [place for place, one in enumerate(rounds) if (one.analysis, one.step) == (analysis, step)]
        if not mine:
            continue
        most = max(mine, key=lambda place: rounds[place].times.value)
        others = sum(rounds[place].times.value for place in mine if place != most)
        low, value, high = (max(each - others, 0.0) for each in (count.low, count.value, count.high))
        rounds[most] = replace(rounds[most], times=replace(count, low=low, value=value, high=high))
    return replace(course, rounds=tuple(rounds))


def _here(mirror: Mirror) -> Device:
    """The machine that a rehearsal was timed on, by which others are told: of factor 1, under no load but its own."""
    device = mirror.devices[mirror.hub_device]
    one = Quantity(1.0, "1", 1.0, 1.0, "fitted")
    return replace(device, factor=one, load=replace(one, value=0.0, low=0.0, high=0.0))


def _with_rest(forecast: Forecast, factor: float, sd: float, spread: float, seed: int) -> Forecast:
    """All but work takes as much longer as earlier runs taught, give or take."""
    sd = sd or float(np.log(spread)) / AT_90
    drawn = factor * np.exp(sd * np.random.default_rng([seed, 77]).standard_normal(len(forecast.seconds)))
    drawn[0] = factor
    parts = {name: values if name in WORK else values * drawn for name, values in forecast.parts.items()}
    return replace(forecast, parts=parts, seconds=np.sum(list(parts.values()), axis=0))


def _within(forecast: Forecast, total: Quantity, before: Quantity, deadline_s: float) -> float:
    """Probability of the end before a deadline, with an interval as wide as the total's has become."""
    seconds = np.maximum(forecast.seconds, AT_LEAST_S)
    middle = max(float(np.median(seconds)), AT_LEAST_S)
    was, has = np.log(max(before.spread, 1.0 + 1e-12)), np.log(max(total.spread, 1.0 + 1e-12))
    power = has / was if np.isfinite(was) and np.isfinite(has) and was > 0 else 1.0
    return float(np.mean(middle * (seconds / middle) ** power <= deadline_s))


def _spread(values: Any, unit: str) -> Quantity:
    low, value, high = (float(each) for each in np.quantile(values, [LOW, 0.5, HIGH]))
    return Quantity(value, unit, low, high, "fitted", "plays under virtual time")


def _said(course: Course, prepared: Prepared, history: Learnt, forecast: Forecast) -> list[str]:
    notes = []
    if not any(work.flop for one in course.rounds for stage in one.stages for work in stage.work.values()):
        notes.append(
            "Operations are not known: seconds of work are those that a rehearsal on this machine took, and grow with rows."
        )
    if not prepared.witnessed.answering:
        notes.append("Handling of asks and replies was not measured: it is taken to cost nothing.")
    notes.append(
        f"{history.runs} earlier runs taught this forecast." if history.runs else "No earlier run has taught this forecast."
    )
    if history.state.drifted:
        notes.append("The last runs drifted away from their forecasts: the interval was opened.")
    notes += [f"{count} of the plays come to no result: {why}" for why, count in forecast.why.items()]
    return notes
