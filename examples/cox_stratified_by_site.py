"""Cox regression stratified by institution: NCCTG lung cancer, each institution its own baseline hazard, only sums leave."""

from lifelines import CoxPHFitter
from lifelines.datasets import load_lung

from huizhen import Study, run

lung = load_lung().rename(columns={"ph.ecog": "ph_ecog"})[["inst", "time", "status", "age", "sex", "ph_ecog"]].dropna()
sites = {f"inst-{int(inst):02d}": rows.drop(columns="inst") for inst, rows in lung.groupby("inst")}

study = Study.parse({"method": {"cox": {"time": "time", "event": "status", "formula": "~ age + sex + ph_ecog", "strata": "site"}}})
finding = run(study, sites)["cox"]

took_part = lung[[f"inst-{int(inst):02d}" in finding.outcome.roster for inst in lung["inst"]]]
reference = CoxPHFitter().fit(took_part, "time", "status", strata=["inst"], fit_options={"precision": 1e-12, "step_size": 1.0})

print(f"{len(sites)} institutions, {len(finding.outcome.roster)} with enough rows, {finding.result.rows} patients")
print(f"{'term':<8} {'federation':>22}   {'lifelines, pooled':>22}")
for term, coefficient, error in zip(
    finding.feature_names_, finding.coef_, finding.result.tables["coefficients"].columns["standard_error"]
):
    there = reference.summary.loc[term]
    print(f"{term:<8} {coefficient:>10.6g} ({error:>9.6g})   {there['coef']:>10.6g} ({there['se(coef)']:>9.6g})")
print(f"left out: {', '.join(loss.site for loss in finding.outcome.losses)}")
