"""What a person or a rule may know of this site's own rows before a study is accepted: how many, and how they would be read.

A worker looks, within the same limits as one that answers; nothing of it leaves but with an acceptance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from huizhen.federation.proposal import Proposal
from huizhen.federation.study import METHODS
from huizhen.site.eventcounts import cohorts_of, registry_of
from huizhen.site.running import enabled
from huizhen.site.settings import Settings
from huizhen.site.worker.look import look
from huizhen.site.worker.serving import NETWORKS
from huizhen.site.worker.speech import Order
from huizhen.site.worker.started import Starting

__all__ = ["Looking"]


@dataclass(frozen=True, slots=True)
class Looking:
    """Looks at the sources of a site.

    Attributes:
        starting: starts the workers that look.
    """

    settings: Settings
    starting: Starting
    _last: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)  # one look serves the count and the reading

    def count(self, proposal: Proposal, source: str) -> int:
        """Rows of a source that are of the study's cohort; for the site's own decision.

        Raises:
            HuizhenError: it cannot be read as the study needs it.
        """
        return int(self._seen(proposal, source)["rows"])

    def read(self, proposal: Proposal, source: str) -> Mapping[str, Any]:
        """How a source holds every variable of a study: by name its ``kind`` (``number``, ``category`` or ``image``), and of an
        image its ``shape`` and how it is ``stored``.

        Raises:
            HuizhenError: it cannot be read, or lacks variables; all of them are named.
        """
        if not proposal.study.uses and cohorts_of(proposal.study):  # no variable is read: whether there is a registry is enough
            registry_of(self.settings.path_of(source))
            return {}
        return dict(self._seen(proposal, source)["reads"])

    def _seen(self, proposal: Proposal, source: str) -> Mapping[str, Any]:
        key = (proposal.digest, source)
        if key not in self._last:
            self._last.clear()
            self._last[key] = self._looked(proposal, source)
        return self._last[key]

    def _looked(self, proposal: Proposal, source: str) -> Mapping[str, Any]:
        study, settings = proposal.study, self.settings
        order = Order(
            site=settings.site.name,
            content=study.content,
            digest=study.digest,
            source=str(settings.path_of(source)),
            variables={},
            methods=enabled(settings, METHODS),
            networks=enabled(settings, NETWORKS),
        )
        return look(order, self.starting)
