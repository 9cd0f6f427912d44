import numpy as np
import pytest

from huizhen.methods.method import Finished, Local
from huizhen.privacy.release import Total


def add_up(answers, roster):
    first = answers[0]
    sums, keyed, individual = {}, {}, {}
    for name, part in first.parts.items():
        if part.kind == "individual":
            individual[name] = {site: a.parts[name].values for site, a in zip(roster, answers)}
        elif part.keys is not None:
            merged = {}
            for a in answers:
                for key, value in zip(a.parts[name].keys, a.parts[name].values):
                    merged[key] = merged.get(key, 0) + value
            keyed[name] = dict(sorted(merged.items()))
        else:
            sums[name] = sum((a.parts[name].values for a in answers[1:]), first.parts[name].values)
    return Total(sums, keyed, individual, sum(a.rows for a in answers), tuple(roster))


@pytest.fixture
def federate():
    def run(method, spec, terms, sites):  # sites: dict name -> Examples (already complete)
        state, local = method.begin(spec, terms), {name: Local() for name in sites}
        while not isinstance(asked := method.ask(state), Finished):
            answers = []
            for name, rows in sites.items():
                answer, local[name] = method.answer(asked, rows, local[name], rng=np.random.default_rng(0))
                answers.append(answer)
            state = method.fold(state, add_up(answers, tuple(sites)))
        return asked.result

    return run
