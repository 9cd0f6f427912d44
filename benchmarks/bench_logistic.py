"""A logistic regression of 20 variables on 1,000,000 rows over 10 sites, against the same IRLS on the pooled rows in numpy.

Bars: at most 1.5 times the processor time; memory at most twice the rows' own size. statsmodels' GLM is timed too. Every figure is
measured in a process of its own with one BLAS thread, the ratio within one run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

ROWS, SITES, VARIABLES = 1_000_000, 10, 20

PROGRAM = '''
import json, resource, sys, time
import numpy as np

ROWS, SITES, VARIABLES = {rows}, {sites}, {variables}

def rows():
    rng = np.random.default_rng(11)
    columns = [rng.normal(size=ROWS) for _ in range(VARIABLES)]
    eta = sum(column * weight for column, weight in zip(columns, np.linspace(-0.6, 0.6, VARIABLES))) - 0.4
    y = (rng.random(ROWS) < 1 / (1 + np.exp(-eta))).astype(float)
    return columns, y

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

def irls():
    """Newton's method on the pooled rows, as a textbook writes it, to the same tolerance."""
    columns, y = rows()
    X = np.column_stack([np.ones(ROWS), *columns])
    del columns
    start, beta = time.process_time(), np.zeros(VARIABLES + 1)
    for count in range(1, 50):
        mu = 1 / (1 + np.exp(-(X @ beta)))
        w = mu * (1 - mu)
        step = np.linalg.solve(X.T @ (X * w[:, None]), X.T @ (y - mu))
        beta += step
        if np.abs(step).max() < 1e-10:
            break
    return dict(seconds=time.process_time() - start, iterations=count, coefficients=beta.tolist())

def statsmodels():
    import statsmodels.api as sm
    columns, y = rows()
    X = np.column_stack([np.ones(ROWS), *columns])
    del columns
    start = time.process_time()
    fitted = sm.GLM(y, X, family=sm.families.Binomial()).fit(tol=1e-12, tol_criterion="params")
    return dict(seconds=time.process_time() - start, coefficients=fitted.params.tolist())

def huizhen():
    from huizhen.data.examples import Categories, Examples, Numbers
    from huizhen.federation.study import Study
    from huizhen.embedded.run import run_tables
    columns, y = rows()
    names = [f"x{{place}}" for place in range(VARIABLES)]
    edges = np.linspace(0, ROWS, SITES + 1).astype(int)
    tables = {{}}
    for place, (low, high) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist())):
        site = f"site-{{place}}"
        table = {{name: Numbers(column[low:high]) for name, column in zip(names, columns)}}
        table["y"] = Numbers(y[low:high])
        table["site"] = Categories(np.zeros(high - low, np.int32), (site,))
        tables[site] = Examples(table, high - low)
    before = peak()
    study = Study.parse({{"method": {{"glm": {{"formula": "y ~ " + " + ".join(names), "family": "binomial"}}}}}})
    start = time.process_time()
    findings = run_tables(study, tables, compare=False)
    seconds = time.process_time() - start
    size = sum(column.nbytes for column in columns) + y.nbytes
    result = findings["glm"].result
    assert not result.failure, result.failure
    return dict(seconds=seconds, iterations=result.facts["iterations"], coefficients=list(findings["glm"].coef_),
                memory=(peak() - before + size) / size, rows_bytes=size)

print(json.dumps({{"irls": irls, "statsmodels": statsmodels, "huizhen": huizhen}}[sys.argv[1]]()))
'''


def measured(which: str) -> dict:
    program = PROGRAM.format(rows=ROWS, sites=SITES, variables=VARIABLES)
    single = {name: "1" for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", program, which], env={**os.environ, **single}, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.benchmark(group="logistic")
def test_logistic_regression_on_a_million_rows(benchmark) -> None:
    pooled, joint, library = measured("irls"), measured("huizhen"), measured("statsmodels")
    apart = max(abs(a - b) / abs(b) for a, b in zip(joint["coefficients"], pooled["coefficients"]))
    print(f"\nprocessor seconds, {ROWS:,} rows, {VARIABLES} variables, {SITES} sites, one BLAS thread:")
    print(f"  IRLS on pooled rows, numpy   {pooled['seconds']:6.2f}   ({pooled['iterations']} iterations)")
    print(f"  Huizhen, {SITES} sites            {joint['seconds']:6.2f}   ({joint['iterations']} iterations)")
    print(f"  statsmodels GLM, pooled      {library['seconds']:6.2f}")
    print(f"  Huizhen / IRLS               {joint['seconds'] / pooled['seconds']:6.2f}   (bar: 1.5)")
    print(f"  Huizhen / statsmodels        {joint['seconds'] / library['seconds']:6.2f}")
    print(f"  peak memory / rows' own size {joint['memory']:6.2f}   (bar: 2)")
    print(f"  largest relative difference of a coefficient {apart:.1e}")
    benchmark.extra_info.update(ratio=joint["seconds"] / pooled["seconds"], memory=joint["memory"], apart=apart)
    benchmark.pedantic(lambda: measured("huizhen"), rounds=1)
