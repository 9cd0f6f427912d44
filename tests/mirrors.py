"""Stand-ins, courses and mirrors for stories of rehearsals and plays."""

from __future__ import annotations

from datetime import UTC, datetime
from types import MappingProxyType

import numpy as np

import smokers
from huizhen.data.frames import table
from huizhen.federation.reading import settled
from huizhen.federation.study import Study
from huizhen.policy.disclosure import DisclosurePolicy
from huizhen.twin.course import Course, Operation, RoundDemand, StageDemand, Work
from huizhen.twin.mirror import Device, Link, Mirror, MirrorSite, Node, mirrored
from huizhen.twin.quantity import assumed, declared, exactly
from huizhen.twin.simulate.federation import Standins

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TEXTS = {"age": False, "lab": False, "sex": True, "smoker": False}


def names(count):
    return [f"site-{number:03d}" for number in range(count)]


def standins(count, *, rows=60, method=None, protection=None, participants=None, **more):
    """Hospitals with made-up patients, and a study of them: one regression, unless said otherwise."""
    sites = names(count)
    content = smokers.study(sites, protection=protection or {}, participants=participants or {})
    content["method"] = method or {"glm": [{"label": "m3", "formula": smokers.FORMULAS["m3"], "family": "binomial"}]}
    content["variables"]["smoker"] = {"type": "category", "levels": ["0", "1"]} if method else {"type": "number"}
    study = Study.parse(content)
    variables = settled(study, [TEXTS] * count, {})
    raw = {site: smokers.patients(place, rows) for place, site in enumerate(sites)}
    tables = {
        site: table({name: np.asarray(values) for name, values in columns.items()}, variables=variables, site=site)
        for site, columns in raw.items()
    }
    return Standins(study, tables, dict.fromkeys(sites, DisclosurePolicy()), variables, **more)


def mirror(sites, *, silent=0.0, spread=1.3, faster=1.0, rtt=0.02) -> Mirror:
    """A star of lines that differ from site to site."""
    device = Device(
        "abacus",
        "cpu",
        2,
        declared(1e10, "flop/s"),
        declared(1e10, "byte/s"),
        declared(8e9, "byte"),
        declared(1, "1"),
        assumed(0.1, "1", "usual"),
    )
    draws = np.random.default_rng(3)

    def line(site):
        rates = [declared(rate * faster * (1 + draws.random()), "byte/s", spread=spread) for rate in (1e6, 5e5)]
        return Link(f"to {site}", "hub", site, *rates, declared(rtt, "s"), exactly(0, "1"), exactly(0, "byte"))

    nodes = [Node("hub", "hub"), *(Node(site, "site") for site in sites)]
    there = [MirrorSite(site, site, "abacus", declared(500, "count"), exactly(silent, "1")) for site in sites]
    return mirrored("hub", "abacus", nodes, [line(site) for site in sites], [device], there, NOW)


def training(count, up, *, deadline_s=0.0, add=1e6, keeps=False, quorum=1, patience=0, times=3, work=1e8) -> Course:
    """A muster, and rounds in which every site works and sends so many bytes."""
    sites, draws = names(count), np.random.default_rng(9)
    works = {site: Work("steps", (Operation("aten.mm", (1,), work * (1 + draws.random()), 0.0),)) for site in sites}
    adding = Work("adding", (Operation("add", (1,), add * count, 0.0),))
    same = lambda size: MappingProxyType(dict.fromkeys(sites, size))  # noqa: E731
    stage = StageDemand("answer", same(up // 2), same(up), MappingProxyType(works), adding=adding)
    muster = StageDemand("answer", same(500), same(200))
    rounds = (
        RoundDemand("network", "muster", (muster,), exactly(1, "count")),
        RoundDemand("network", "train", (stage,), exactly(times, "count")),
    )
    return Course("d" * 64, "A training", tuple(sites), rounds, deadline_s, quorum, keeps, patience=patience)
