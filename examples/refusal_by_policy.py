"""One hospital's policy denies a variable: the study stops, and says why; that hospital has told how many rows it has, no more."""

import numpy as np

from huizhen import DisclosurePolicy, Study, run

rng = np.random.default_rng(3)
sites = {
    name: {"age": rng.integers(30, 90, rows).astype(float), "postcode": rng.integers(1000, 9999, rows).astype(float)}
    for name, rows in (("north", 80), ("south", 120), ("tiny", 6))
}
strict = DisclosurePolicy(denied_variables=("postcode",), min_rows=20)


def tell(variables):
    study = Study.parse({"method": {"summary": {"variables": variables}}})
    findings = run(study, sites, policies={"south": strict}, compare=False)
    outcome = findings["summary"].outcome
    print(f"summary of {', '.join(variables)}")
    print("  answer:", "none" if outcome.result.failure else f"from {', '.join(outcome.roster)}")
    for loss in outcome.losses:
        print(f"  {loss.site} {loss.kind}: {loss.reason}")
    if outcome.result.failure:
        print(f"  why: {outcome.result.failure}")
    left = sum(left.numbers for left in findings.left if left.site == "south")
    print(f"  numbers that left south: {left}")


tell(["age"])
tell(["age", "postcode"])
