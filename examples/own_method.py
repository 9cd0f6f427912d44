"""A method of one's own: the geometric mean, from sums of logarithms. Two functions and a declaration."""

import numpy as np

from huizhen.data.examples import Examples, Numbers
from huizhen.errors import NotEstimable
from huizhen.methods.alone import alone
from huizhen.methods.method import ScriptedMethod, Spec, Use
from huizhen.privacy.release import Answer, Part, Question, Terms
from huizhen.privacy.result import Result


class GeometricMeanSpec(Spec):
    variable: str


def program(spec, terms):
    """At the hub, over totals."""
    total = yield Question("geometric_mean", "logs", {"variable": spec.variable}, (spec.variable,))
    if total.sums["not_positive"][0]:
        raise NotEstimable(f"{spec.variable!r} is not positive in some rows; leave them out by a cohort condition")
    mean = float(np.exp(total.sums["logs"][0] / total.rows))
    return Result("geometric_mean", total.rows, total.roster, {"geometric_mean": mean})


def logs(question, examples, local, rng):
    """At a site, over its rows."""
    values = examples.number(question.facts["variable"])
    positive = values > 0
    parts = {
        "logs": Part(np.array([np.log(values[positive]).sum()]), examples.rows),
        "not_positive": Part(np.array([(~positive).sum()]), examples.rows, cells=True),
    }
    return Answer(parts, examples.rows), local


GEOMETRIC_MEAN = ScriptedMethod(
    name="geometric_mean",
    spec=GeometricMeanSpec,
    program=program,
    steps={"logs": logs},
    reads=lambda spec: [Use(spec.variable, "number")],
)

if __name__ == "__main__":
    spec, values = GeometricMeanSpec(variable="crp"), np.random.default_rng(5).lognormal(1.2, 0.8, 300)

    def table(numbers):
        return Examples({"crp": Numbers(numbers)}, len(numbers))

    for name, rows in (("west", values[:120]), ("east", values[120:]), ("pooled", values), ("with a zero", np.zeros(20))):
        result = alone(GEOMETRIC_MEAN, spec, Terms(), table(rows))
        print(f"{name:<12}", result.failure or f"{result.facts['geometric_mean']:.6g} from {result.rows} rows")
    print(f"{'numpy':<12} {np.exp(np.log(values).mean()):.6g}")
