import numpy as np
import pandas as pd
import pytest

from huizhen.data.examples import Categories, Examples, Numbers
from huizhen.methods.method import Finished, Local
from huizhen.privacy.release import Terms, Total, Variable


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


def to_examples(frame):
    columns = {}
    for name in frame:
        if frame[name].dtype.kind in "fiu":
            columns[name] = Numbers(frame[name].to_numpy(np.float64))
        else:
            levels = tuple(sorted(frame[name].unique()))
            columns[name] = Categories(pd.Categorical(frame[name], levels).codes.astype(np.int32), levels)
    return Examples(columns, len(frame))


@pytest.fixture(scope="session")
def rows_of():
    """A table as a site holds it."""
    return to_examples


@pytest.fixture(scope="session")
def sites_of():
    """A table laid out over its sites."""
    return lambda frame: {str(name): to_examples(rows) for name, rows in frame.groupby("site")}


@pytest.fixture(scope="session")
def terms_of():
    def terms(frame, least=5, **declared):
        kinds = {name: Variable("number" if frame[name].dtype.kind in "fiu" else "category") for name in frame if name != "site"}
        return Terms(min_cell_count=least, variables={**kinds, **declared}, roster=tuple(sorted(frame["site"].unique())))

    return terms


@pytest.fixture(scope="session")
def agreed():
    """Drives an agreement over sites, and gives what was agreed and the questions that were asked."""

    def drive(program, steps, sites):
        local, asked = {name: Local() for name in sites}, []
        try:
            question = next(program)
            while True:
                asked.append(question)
                answers = [steps[question.step](question, rows, local[name], None)[0] for name, rows in sites.items()]
                sums, keyed = {}, {}
                for name, part in answers[0].parts.items():
                    if part.keys is None:
                        sums[name] = sum(answer.parts[name].values for answer in answers)
                    else:
                        pairs = [pair for answer in answers for pair in zip(answer.parts[name].keys, answer.parts[name].values)]
                        keyed[name] = {key: sum(n for k, n in pairs if k == key) for key in sorted({k for k, _ in pairs})}
                question = program.send(Total(sums, keyed, {}, sum(answer.rows for answer in answers), tuple(sites)))
        except StopIteration as stop:
            return stop.value, asked

    return drive


@pytest.fixture(scope="session")
def patients():
    """Simulated patients at three unlike sites, with a response for every family."""
    rng = np.random.default_rng(20)
    n = 900
    frame = pd.DataFrame(
        {
            "age": rng.integers(30, 80, n).astype(float),
            "bmi": rng.normal(26, 4, n),
            "stage": rng.choice(["I", "II", "III"], n),
            "sex": rng.choice(["f", "m"], n),
            "grade": rng.integers(1, 4, n).astype(float),
            "exposure": rng.uniform(0.5, 3, n),
            "trials": rng.integers(1, 5, n).astype(float),
        }
    )
    frame["site"] = np.where(frame.age < 45, "north", rng.choice(["east", "west"], n))
    frame["log_exposure"] = np.log(frame.exposure)
    eta = -0.5 + 0.03 * (frame.age - 55) + 0.5 * (frame.stage == "III") - 0.05 * (frame.bmi - 26)
    frame["died"] = (rng.uniform(size=n) < 1 / (1 + np.exp(-eta))).astype(float)
    frame["died_word"] = np.where(frame.died > 0, "yes", "no")
    frame["share"] = rng.binomial(frame.trials.astype(int), 1 / (1 + np.exp(-eta))) / frame.trials
    frame["visits"] = rng.poisson(frame.exposure * np.exp(0.5 + 0.3 * eta)).astype(float)
    frame["days"] = rng.gamma(2.0, np.exp(1.5 + 0.2 * eta) / 2)
    frame["pressure"] = 120 + 5 * eta + rng.normal(0, 12, n)
    return frame
