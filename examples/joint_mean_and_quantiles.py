"""Three hospitals, one mean and three quantiles: the pooled ones, although no hospital shows a row."""

import numpy as np

from huizhen import Study, run

rng = np.random.default_rng(1)
hospitals = {
    name: {"age": np.round(rng.normal(mean, 12, rows)), "weight": np.round(rng.normal(70, 11, rows), 1)}
    for name, mean, rows in (("west-lake", 61, 240), ("north-gate", 55, 90), ("east-hill", 70, 130))
}
study = Study.parse({"method": {"summary": {"variables": ["age", "weight"]}, "quantile": {"variables": ["age"]}}})
findings = run(study, hospitals)


def pooled(name):
    return np.concatenate([hospital[name] for hospital in hospitals.values()])


print("mean and standard deviation")
numbers = findings["summary"].result.tables["numbers"].columns
for name, mean, sd in zip(numbers["variable"], numbers["mean"], numbers["sd"]):
    rows = pooled(name)
    print(f"  {name:<7} federation {mean:.6g} ({sd:.6g})   pooled {rows.mean():.6g} ({rows.std(ddof=1):.6g})")

print("quantiles of age (in whole years, so that many patients share each)")
quantiles = findings["quantile"].result.tables["quantiles"].columns
for probability, value in zip(quantiles["probability"], quantiles["value"]):
    print(f"  {probability:.2f}    federation {value:.6g}   pooled {np.quantile(pooled('age'), probability):.6g}")

print("what left west-lake for the means")
for left in findings.left:
    if left.site == "west-lake" and left.analysis == "summary":
        print(f"  {left.what:<26} {left.kind:<7} {left.numbers} numbers")
