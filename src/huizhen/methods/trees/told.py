"""What a site makes of what a question tells of the forest: its rows, as far as the forest has grown.

    known, local = grower(question, examples, local)

The forest is kept at the site (`Local.kept`) from time to time, and a question carries the trees since (see `growth`). What stands
in the memo only saves work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from huizhen import canonical
from huizhen.data.examples import Examples
from huizhen.errors import Problem, SiteError
from huizhen.methods.method import Local
from huizhen.methods.trees.forest import Tree, trees_facts, trees_from
from huizhen.methods.trees.growth import mark_of, next_mark
from huizhen.methods.trees.site import Grower
from huizhen.privacy.release import Question

__all__ = ["grower"]


def grower(question: Question, examples: Examples, local: Local) -> tuple[Grower, Local]:
    """The site's rows with the margins of the forest behind the question, and what the site keeps from now on.

    Raises:
        SiteError: the question goes on from a forest that the site has not kept, or tells another one than its mark names.
    """
    facts, known = question.facts, local.memo.get("grower")
    if known is None or known.mark != facts["mark"]:
        if known is not None and known.mark == facts["before"] and facts["from"]:
            newest = _newest(facts, len(known.margins))
            _hold_to_mark(facts, next_mark(known.mark, newest))
            known.learn(newest)
        else:
            known = _rebuilt(facts, examples, local, known)
        known.mark = facts["mark"]
        local.memo["grower"] = known
    if facts["keep"] and local.kept.get("mark") != known.mark:
        kept = {"mark": known.mark, "setting": known.setting, "forest": trees_facts(known.trees)}
        local = replace(local, kept=kept)
    return known, local


def _hold_to_mark(facts: Mapping[str, Any], mark: str) -> None:
    """Refuses trees that the mark does not name: by the mark alone a policy knows whether a question was answered before."""
    if facts["mark"] != mark:
        raise _another_forest()


def _another_forest() -> SiteError:
    problem = Problem("the forest in the question", "another than its mark names", "the forest of the mark", "Run the study again")
    return SiteError("The site cannot go on with the forest.", [problem])


def _newest(facts: Mapping[str, Any], outputs: int) -> tuple[Tree, ...]:
    return trees_from(facts["forest"], len(facts["forest"]["nodes"]) - outputs)


def _rebuilt(facts: Mapping[str, Any], examples: Examples, local: Local, known: Grower | None) -> Grower:
    """From the question alone where it tells everything, else from what was kept too."""
    setting, trees = facts["setting"], trees_from(facts["forest"])
    if setting is not None:
        key = canonical.digest({name: value for name, value in setting.items() if name != "key"})
        _hold_to_mark(facts, mark_of(key, trees, len(setting["base"])))
        if setting["key"] != key:
            raise _another_forest()
    else:
        kept = local.kept
        if kept.get("mark") not in (facts["from"], facts["mark"]):
            problem = Problem(
                "what the site keeps between rounds",
                "another forest than the question goes on from, or none",
                "the forest as it was",
                "Run the study again: it goes on from its last tree, and every site is told the whole forest",
            )
            raise SiteError("The site cannot go on with the forest.", [problem])
        setting, since = kept["setting"], trees if kept["mark"] == facts["from"] else ()
        _hold_to_mark(facts, mark_of(kept["mark"], since, len(setting["base"])))
        trees = trees_from(kept["forest"]) + since
    if known is None or known.setting["key"] != setting["key"]:
        known = Grower(examples, setting)
    known.begin()
    known.learn(trees)
    return known
