"""A logistic model over four sites that are unlike each other equals the model on the pooled rows, and not that of any site."""

import numpy as np
import statsmodels.api as sm

from huizhen import Estimator

rng = np.random.default_rng(7)
sites = {}
for place, name in enumerate(("north", "south", "east", "west")):
    rows = 150 + 50 * place
    age, stage = rng.normal(50 + 6 * place, 9, rows), rng.integers(1, 4, rows).astype(float)
    risk = -7 + 0.09 * age + 0.7 * stage
    sites[name] = {"age": age, "stage": stage, "died": (rng.random(rows) < 1 / (1 + np.exp(-risk))).astype(float)}

model = Estimator("glm", formula="died ~ age + stage", family="binomial").fit(sites)

pooled = {name: np.concatenate([site[name] for site in sites.values()]) for name in ("age", "stage", "died")}
design = sm.add_constant(np.column_stack([pooled["age"], pooled["stage"]]))
reference = sm.GLM(pooled["died"], design, family=sm.families.Binomial()).fit(tol=1e-14)

errors = np.sqrt(np.diag(model.covariance_))
print(f"{'term':<10} {'federation':>22}   {'statsmodels, pooled':>22}")
for row in zip(model.feature_names_, model.coef_, errors, reference.params, reference.bse):
    print("{:<10} {:>10.6g} ({:>9.6g})   {:>10.6g} ({:>9.6g})".format(*row))
print("largest relative difference below 1e-10:", bool(np.allclose(model.coef_, reference.params, rtol=1e-10, atol=0)))

alone = Estimator("glm", formula="died ~ age + stage", family="binomial").fit({"north": sites["north"]})
print("north alone:", ", ".join(f"{term} {value:.6g}" for term, value in zip(alone.feature_names_, alone.coef_)))
