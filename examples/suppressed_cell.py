"""A table with a cell of two patients: it is suppressed, with others, so that nobody can work it out from the margins."""

import numpy as np

from huizhen import DisclosurePolicy, Study, run

CELLS = {"mild": (31, 44), "moderate": (25, 36), "severe": (12, 2)}  # no reaction, reaction


def hospital(share):
    rows = [(grade, reaction) for grade, counts in CELLS.items() for reaction, n in enumerate(counts) for _ in range(n)]
    chosen = rows[share::2]
    return {"grade": [grade for grade, _ in chosen], "reaction": [("no", "yes")[reaction] for _, reaction in chosen]}


study = Study.parse(
    {
        "variables": {"grade": {"type": "category", "levels": list(CELLS)}},
        "method": {"tabulate": {"rows": "grade", "columns": "reaction"}},
    }
)
for minimum in (1, 5):
    result = run(study, {"north": hospital(0), "south": hospital(1)}, policy=DisclosurePolicy(min_cell_count=minimum))[
        "tabulate"
    ].result
    table = result.cells["counts"]
    print(f"min_cell_count = {minimum}")
    print(f"  {'':<10}" + "".join(f"{column:>6}" for column in table.columns))
    for label, row in zip(table.rows, table.counts):
        print(f"  {label:<10}" + "".join(f"{'·' if count < 0 else count:>6}" for count in row))
    chi2 = result.facts["chi2"]
    print(f"  chi-square: {'withheld' if chi2 is None else format(chi2, '.6g')}")
    for withheld in result.withheld:
        print(f"  withheld: {withheld.what}. {withheld.reason}")
print(np.array(list(CELLS.values())).sum(), "patients")
