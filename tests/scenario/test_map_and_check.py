"""A data manager maps and checks the records of a hospital at the command line; a marked value shows up nowhere but in the rows."""

from __future__ import annotations

import csv
import json

import duckdb
import pytest

SECRET = "Zhang-Secret-77"


@pytest.fixture
def site(tmp_path, huizhen):
    """A hospital whose registry was filled from a table with what must not be seen."""
    place = tmp_path / "huizhen-site"
    place.mkdir()
    columns = {
        "id": [f"{SECRET}-{number}" for number in range(60)],
        "age": [*range(20, 79), -9],
        "creatinine": [*(number + 50 for number in range(58)), SECRET, ""],
        "sex": [*("M", "F") * 29, SECRET, "F"],
        "name": [f"{SECRET}{number % 55}" for number in range(60)],
    }
    with (place / "lab.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([list(columns), *zip(*columns.values())])
    (place / "site.toml").write_text(
        '[site]\nname = "east"\n[source.rows]\nkind = "registry"\nmapping = "map.toml"\n'
        '[source.lab]\nkind = "table"\npath = "lab.csv"\npatient = "id"\nrecord = "id"\n'
        '[deidentify]\nidentifying = "keep"\n',
        encoding="utf-8",
    )
    (place / "dictionary.toml").write_text(
        'variable.age = { type = "number", unit = "a" }\nvariable.creatinine = { type = "number", unit = "umol/L" }\n'
        'variable.sex = { type = "category", values = ["female", "male"] }\nvariable.name = { type = "category" }\n',
        encoding="utf-8",
    )
    (place / "map.toml").write_text(
        '[mapping]\ndictionary = "dictionary.toml"\n'
        '[variable.age]\ncolumn = "age"\nunits = { "" = "a" }\nmissing = [-9]\n'
        '[variable.creatinine]\ncolumn = "creatinine"\nunits = { "" = "umol/L" }\n'
        '[variable.sex]\ncolumn = "sex"\nvalues = { M = "male", F = "female" }\n[variable.name]\ncolumn = "name"\n',
        encoding="utf-8",
    )
    (place / "rules.toml").write_text(
        '[[rule]]\nkind = "range"\nvariable = "creatinine"\nhigh = 100\n[[rule]]\nkind = "unique"\nvariables = ["name"]\n'
        '[duplicates]\nblock = ["sex"]\ncompare = { name = "text" }\nat_least = 0.99\n',
        encoding="utf-8",
    )
    assert huizhen("data", "sync").code == 0
    return place


def test_records_become_rows_and_the_report_says_what_became_of_each_variable(huizhen, site):
    said = huizhen("data", "map", site / "map.toml")
    assert (said.code, said.err) == (0, "")
    assert "creatinine: left out (1): text where a number belongs" in said.out
    assert "sex: left out (1): a value that is not declared" in said.out
    assert "age: left out (1): a mark for a missing value" in said.out
    assert SECRET not in said.all
    rows = duckdb.sql(f"select count(*), count(age), sum(creatinine), count(sex) from '{site / 'rows/map.parquet'}'").fetchall()
    assert rows == [(60, 59, sum(range(50, 108)), 59)]
    told = json.loads(huizhen("data", "map", site / "map.toml", "--json").out)
    assert [(each["name"], each["rows"]) for each in told["variables"]] == [
        ("age", 59),
        ("creatinine", 58),
        ("sex", 59),
        ("name", 60),
    ]
    assert "creatinine：未采用（1）：应为数值处是文本" in huizhen("--lang", "zh", "data", "map", site / "map.toml").out


def test_rows_are_checked_and_only_what_the_policy_lets_leave_is_shared(huizhen, site):
    said = huizhen("data", "check", site / "rules.toml", "--review", "pairs.csv", "--share", "quality.json")
    assert said.code == 0, said.err
    assert "missing in 2 rows" in said.out
    assert "not passed" in said.out
    shared = json.loads((site.parent / "quality.json").read_text(encoding="utf-8"))
    assert shared["rules"][0]["broken"] == 7  # 101 to 107
    assert shared["missing"]["creatinine"] is None  # 2 rows are a small cell
    review = (site.parent / "pairs.csv").read_text(encoding="utf-8")
    assert review.startswith("one,other,likeness,same")
    exact = json.loads(huizhen("data", "check", site / "rules.toml", "--table", site / "lab.csv", "--json").out)
    assert exact["outcomes"][1]["broken"] == 10  # five names stand twice
    assert SECRET not in said.all + review + json.dumps(shared) + json.dumps(exact)
    assert "通过" in huizhen("--lang", "zh", "data", "check", site / "rules.toml").out


def test_what_cannot_be_mapped_or_checked_is_said_with_what_to_do(huizhen, site):
    (site / "map.toml").write_text('[mapping]\ndictionary = "dictionary.toml"\n[variable.agee]\ncolumn = "age"', encoding="utf-8")
    said = huizhen("data", "map", site / "map.toml")
    assert said.code == 2
    assert "a variable that is not in the dictionary" in said.err
    assert "Did you mean age?" in said.err
    said = huizhen("data", "check", site / "nowhere.toml", "--table", site / "lab.csv")
    assert said.code == 2
    assert "The rules cannot be used." in said.err
    said = huizhen("data", "check", site / "rules.toml", "--source", "nothing")
    assert said.code == 2
    assert "There is no such source." in said.err


def test_a_study_runs_on_a_mapping_as_on_a_table(huizhen, site):
    study = '[study]\ntitle = "Age"\n[method.summary]\nvariables = ["age"]\n'
    (site / "study.toml").write_text(study, encoding="utf-8")
    said = huizhen("run", site / "study.toml", "--site", f"east={site / 'map.toml'}", "--site", f"west={site / 'map.toml'}")
    assert said.code == 0, said.err
    written = [path for path in (site.parent / "huizhen-out").rglob("*") if path.is_file()]
    (report,) = [path for path in written if path.name == "report.html"]
    assert "120 patients" in report.read_text(encoding="utf-8")
    assert "49.0" in report.read_text(encoding="utf-8")  # the mean of 20 to 78
    assert not [path for path in written if SECRET.encode() in path.read_bytes()]
    assert SECRET not in said.all
