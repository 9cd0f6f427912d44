"""What was seen of one stage, as demand: bytes both ways, work and protection of every site, and what the hub does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from huizhen.federation.study import Study
from huizhen.privacy.release import Question
from huizhen.twin.course import Operation, StageDemand, Work
from huizhen.twin.simulate.engine import Passage
from huizhen.twin.simulate.federation import Standins
from huizhen.twin.simulate.guarding import numbers_of, uses_at_hub, uses_at_site

__all__ = ["Scene", "stage_of"]


@dataclass(slots=True)
class Scene:
    """Sees every passage and every computation of a rehearsal.

    Attributes:
        rows: how many rows each site really has.
        passages: in order; work: the work of a passage, by its identity.
        summed: numbers of the hidden sum of the round that is looked at.
    """

    here: Standins
    rows: Mapping[str, int]
    demand: Callable[[str, Question, int, int], Work]
    passages: list[Passage] = field(default_factory=list)
    work: dict[int, Work] = field(default_factory=dict)
    summed: int = 0
    _begun: dict[str, Work] = field(default_factory=dict)

    def worked(self, site: str, question: Question, rows: int) -> None:
        there = max(self.here.tables[site].rows, 1)
        really = round(rows * self.rows.get(site, there) / there)
        self._begun[site] = self.demand(question.method, question, really, len(question.variables))

    def seen(self, passage: Passage) -> None:
        if (work := self._begun.pop(passage.site, None)) is not None:
            self.work[id(passage)] = work
        self.passages.append(passage)  # kept, so that its identity stays its own


def stage_of(study: Study, scene: Scene, passages: Sequence[Passage]) -> StageDemand:
    """The demand of one stage."""
    first = passages[0]
    numbers = max(numbers_of(one.reply) for one in passages)
    scene.summed = numbers if first.ask.stage in ("mask", "encrypt") else scene.summed
    adding = Work("adding", (Operation("add", (numbers,), numbers, 24.0 * numbers, len(passages)),) if numbers else ())
    return StageDemand(
        stage=first.ask.stage,
        down=MappingProxyType({one.site: one.bytes.down for one in passages}),
        up=MappingProxyType({one.site: one.bytes.up for one in passages}),
        work=MappingProxyType({one.site: scene.work[id(one)] for one in passages if id(one) in scene.work}),
        protect=MappingProxyType({one.site: uses_at_site(study, one) for one in passages}),
        adding=adding,
        sealing=uses_at_hub(study, first.ask.stage, passages, summed=scene.summed),
    )
