"""Tables larger than memory: rows stream to CSV or Parquet, and a goal needs codes of its own columns and a second look alone."""

from __future__ import annotations

import csv
import stat
import tracemalloc

import duckdb
import numpy as np
import pytest

from huizhen.data.deidentify import files
from huizhen.data.deidentify.anonymity import Texts, coded
from huizhen.data.deidentify.files import deidentify_table
from huizhen.data.deidentify.secret import Secret
from huizhen.errors import DataError, SiteError

SECRET = Secret(b"k" * 32)
RULES = {
    "deidentify": {"patient": "id"},
    "column": {
        "id": {"rule": "pseudonym"},
        "age": {"rule": "age"},
        "code": {"rule": "keep"},
        "weight": {"rule": "keep"},
        "name": {"rule": "drop"},
    },
}
GOAL = {"anonymity": {"k": 40, "suppress": 0.2, "column": {"age": {"groups": [{"grown": ["20-29", "30-39"]}]}}}}
HEAD = ("id", "age", "code", "weight", "name")


@pytest.fixture
def table(tmp_path):
    def write(rows):
        rng = np.random.default_rng(5)
        with (tmp_path / "t.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(HEAD)
            for number in range(rows):
                weight = "" if number % 10 == 0 else f"{rng.normal(70, 9):.1f}"
                writer.writerow((number % 97, int(rng.integers(0, 99)), f"{number % 11:03}", weight, "SECRET" * 20))
        return tmp_path / "t.csv"

    return write


def read(path):
    reader = f"read_csv('{path}', all_varchar = true)" if path.suffix == ".csv" else f"'{path}'"
    return duckdb.sql(f"select * from {reader}").fetchall()


def test_parquet_holds_what_csv_holds_with_numbers_as_numbers_and_codes_as_text(table, tmp_path):
    source = table(200)
    first = deidentify_table(source, tmp_path / "o.csv", RULES, SECRET)
    other = deidentify_table(source, tmp_path / "o.parquet", RULES, SECRET)
    assert (first.kept, first.counts) == (other.kept, other.counts)
    columns = duckdb.sql(f"describe select * from '{tmp_path / 'o.parquet'}'").fetchall()
    assert [(each[0], each[1]) for each in columns] == [
        ("id", "VARCHAR"), ("age", "VARCHAR"), ("code", "VARCHAR"), ("weight", "DOUBLE"),
    ]  # fmt: skip
    plain = [(*row[:3], float(row[3]) if row[3] else None) for row in read(tmp_path / "o.csv")]
    assert read(tmp_path / "o.parquet") == plain
    assert stat.S_IMODE((tmp_path / "o.parquet").stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.csv", "o.parquet", "t.csv"]
    with pytest.raises(SiteError, match="there already"):
        deidentify_table(source, tmp_path / "o.parquet", RULES, SECRET)


def test_a_parquet_table_gives_what_its_csv_gives(table, tmp_path):
    source = table(300)
    duckdb.sql(f"copy (select * from read_csv('{source}', all_varchar = true)) to '{tmp_path / 't.parquet'}'")
    deidentify_table(source, tmp_path / "a.csv", RULES, SECRET)
    deidentify_table(tmp_path / "t.parquet", tmp_path / "b.csv", RULES, SECRET)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_a_goal_is_reached_in_two_looks_as_plain_counting_has_it(table, tmp_path):
    done = deidentify_table(table(1000), tmp_path / "o.csv", {**RULES, **GOAL}, SECRET)
    ages = [row[1] for row in read(tmp_path / "o.csv")]
    counts = {age: ages.count(age) for age in set(ages)}
    assert min(counts.values()) == done.reached.after.k >= 40
    assert (done.units, done.kept, len(ages)) == (1000, int(done.reached.kept.sum()), int(done.reached.kept.sum()))
    whole = [row[1] for row in read_whole(table, tmp_path)]
    assert [age for age, stays in zip(whole, done.reached.kept) if stays] == ages  # bands of ten years are already coarse enough


def read_whole(table, tmp_path):
    deidentify_table(table(1000), tmp_path / "w.csv", RULES, SECRET)
    return read(tmp_path / "w.csv")


def test_memory_does_not_hold_the_rows(table, tmp_path):
    peaks = []
    for rows in (4_000, 16_000):
        source = table(rows)
        tracemalloc.start()
        deidentify_table(source, None, {**RULES, **GOAL}, SECRET)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # A row as a dictionary takes some 600 bytes; codes, masks and what is told of a row some 60.
    assert (peaks[1] - peaks[0]) / 12_000 < 150


def test_a_file_that_changes_between_the_looks_is_told_and_nothing_is_written(table, tmp_path, monkeypatch):
    source, real = table(500), files._reach

    def then_changed(*arguments):
        real(*arguments)
        source.write_text(source.read_text() + "1,30,001,,x\n")

    monkeypatch.setattr(files, "_reach", then_changed)
    with pytest.raises(DataError, match="another content than a moment ago"):
        deidentify_table(source, tmp_path / "o.csv", {**RULES, **GOAL}, SECRET)
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_a_column_that_grows_is_coded_as_one_that_is_whole():
    texts = ["b", "", "a", "b", "c", ""]
    grown = Texts()
    for text in texts:
        grown.add(text)
    assert [part.tolist() if hasattr(part, "tolist") else part for part in coded(grown)] == [
        part.tolist() if hasattr(part, "tolist") else part for part in coded(texts)
    ]
    assert coded(Texts())[1] == []
