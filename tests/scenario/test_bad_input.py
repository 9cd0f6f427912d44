"""What a person gets wrong, and what she reads then: a clear message, a non-zero exit, nothing half-written, no patient's value."""

from __future__ import annotations

import csv
import signal
import sqlite3
import time
from pathlib import Path

import pytest

MARKED = ("SECRET-4711", "987654.321")


def rewritten(path: Path, change) -> None:
    """Edits a CSV: `change(rows)` gets a list of rows, header first."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(change(rows) or rows)


def refused(said, *expected: str, code: int = 2) -> None:
    """The message names what is wrong; nothing was written; no marked value and no traceback is shown."""
    assert said.code == code, said.all
    for text in expected:
        assert text in said.err, said.err
    assert "Traceback" not in said.all
    for value in MARKED:
        assert value not in said.all
    assert not Path("huizhen-out").exists() or not list(Path("huizhen-out").rglob("report.html"))


def test_a_file_that_is_not_there(huizhen, hospitals):
    Path("east-gate.csv").unlink()
    refused(huizhen(*hospitals), "east-gate", "east-gate.csv")


def test_a_file_that_cannot_be_read(huizhen, hospitals):
    Path("east-gate.csv").write_bytes(bytes(range(256)) * 40)
    refused(huizhen(*hospitals), "east-gate")


def test_an_empty_file_and_one_with_a_header_only(huizhen, hospitals):
    Path("east-gate.csv").write_text("")
    Path("west-lake.csv").write_text("age,sex,creatinine,time,died\n")
    refused(huizhen(*hospitals), "site east-gate", "site west-lake")


def test_a_wrong_delimiter(huizhen, hospitals):
    text = Path("east-gate.csv").read_text()
    Path("east-gate.csv").write_text(text.replace(",", "#"))
    refused(huizhen(*hospitals), "east-gate", "delimiter")


def test_a_missing_column_names_the_columns_that_are_there(huizhen, hospitals):
    rewritten(Path("east-gate.csv"), lambda rows: [["age", "sex", "kreatinin", "time", "died"], *rows[1:]])
    refused(huizhen(*hospitals), "east-gate", "creatinine", "kreatinin")


def test_a_text_where_a_number_belongs_names_row_and_column_and_not_the_value(huizhen, hospitals):
    def spoil(rows):
        rows[7][2] = "SECRET-4711"

    rewritten(Path("east-gate.csv"), spoil)
    refused(huizhen(*hospitals), "east-gate", "creatinine", "8")  # row 8 of the file: the header is row 1


def test_a_column_with_no_value_at_all(huizhen, hospitals):
    def empty(rows):
        for row in rows[1:]:
            row[2] = ""

    rewritten(Path("east-gate.csv"), empty)
    refused(huizhen(*hospitals), "east-gate", "creatinine")


def test_a_duplicate_site_name(huizhen, hospitals):
    refused(huizhen(*hospitals, "--site", "east-gate=west-lake.csv"), "east-gate", "twice")


def test_an_unknown_method(huizhen, hospitals):
    Path("study.toml").write_text("[method.logistic]\nformula = 'y ~ x'\n")
    refused(huizhen(*hospitals), "method.logistic", "glm")


def test_a_study_with_several_mistakes_says_them_all(huizhen, hospitals):
    mistaken = (
        "[study]",
        "titel = 'x'",
        "[cohort]",
        "include = ['age >']",
        "[method.glm]",
        "formula = 'died ~'",
        "family = 'binomal'",
    )
    Path("study.toml").write_text("\n".join((*mistaken, "[participants]", "quorum = 0")))
    refused(huizhen(*hospitals), "study.titel", "cohort.include[1]", "method.glm", "participants.quorum")
    assert huizhen("study", "check", "study.toml").code == 2


def test_one_class_only_at_a_site_is_refused_by_its_policy_and_said(huizhen, hospitals):
    def all_alive(rows):
        for row in rows[1:]:
            row[4] = "0"

    rewritten(Path("east-gate.csv"), all_alive)
    said = huizhen(*hospitals)
    assert said.code == 1, said.all
    assert "east-gate" in said.out
    assert "one class" in said.out or "same outcome" in said.out
    assert "one class" in report() or "same outcome" in report(), "a refusal shows in the report"


def test_one_class_only_over_all_sites_is_no_answer(huizhen, hospitals):
    for name in ("west-lake", "east-gate", "south-hill"):

        def all_alive(rows):
            for row in rows[1:]:
                row[4] = "0"

        rewritten(Path(f"{name}.csv"), all_alive)
    Path("policy.toml").write_text("[policy]\nallow_one_class = true\nmin_cell_count = 1\n")
    said = huizhen(*hospitals, "--policy", "policy.toml")
    assert said.code == 1, said.all
    assert "class" in said.out


def report() -> str:
    (path,) = Path("huizhen-out").rglob("report.html")
    return path.read_text(encoding="utf-8")


def test_a_run_succeeds_and_the_ledgers_it_leaves_verify(huizhen, hospitals):
    said = huizhen(*hospitals)
    assert said.code == 0, said.all
    assert "report.html" in said.out
    ledgers = sorted(Path("huizhen-out").rglob("*.sqlite"))
    assert len(ledgers) == 3
    for ledger in ledgers:
        verified = huizhen("ledger", "verify", ledger)
        assert verified.code == 0, verified.all
        assert huizhen("ledger", "show", ledger).out.count("\n") >= 4


def test_a_tampered_ledger_names_the_first_bad_entry(huizhen, hospitals):
    huizhen(*hospitals)
    ledger = sorted(Path("huizhen-out").rglob("*.sqlite"))[0]
    with sqlite3.connect(ledger) as connection:
        (table,) = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")} - {
            "sqlite_sequence",
            "meta",
        }
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(f"UPDATE {table} SET payload = replace(payload, 'run', 'fun') WHERE sequence = 2")
    connection.close()
    said = huizhen("ledger", "verify", ledger)
    assert said.code == 3, said.all
    assert "entry 2" in said.err
    again = huizhen(*hospitals)
    assert again.code == 3, "no run goes on with a ledger that does not verify"
    assert "the ledger of site east-gate" in again.err
    assert "entry 2" in again.err


def test_a_ledger_that_is_not_there_and_a_study_file_that_is(huizhen, hospitals):
    refused(huizhen("ledger", "verify", "nowhere.sqlite"), "There is no ledger", "nowhere.sqlite")
    refused(huizhen("ledger", "show", "nowhere.sqlite"), "There is no ledger")
    Path("mine.toml").write_text("mine")
    refused(huizhen("study", "new", "mine.toml"), "there already")
    refused(huizhen("--lang", "fr", "methods"), "--lang", "en or zh")
    assert Path("mine.toml").read_text() == "mine"


def test_a_full_disk_when_the_report_is_written(start, hospitals, tmp_path):
    """From the moment that the report is written, no file may grow beyond 10 kB."""
    limit = (
        "import resource, signal, huizhen.report.page as page\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "write = page.write\n"
        "def on_a_full_disk(content, path):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "    return write(content, path)\n"
        "page.write = on_a_full_disk"
    )
    process = start(*hospitals, before=limit)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 4, out + err
    assert "report" in err
    assert "Traceback" not in err
    assert not list(tmp_path.rglob("report.html*")), "nothing half-written"


def test_ctrl_c_in_mid_run_leaves_whole_ledgers_and_the_run_goes_on(start, huizhen, hospitals, tmp_path):
    study = Path("study.toml").read_text() + "\n[method.quantile]\nvariables = ['age', 'creatinine']\n"
    Path("study.toml").write_text(study)
    slow = (
        "import time, huizhen.federation.inprocess as engine\n"
        "carry = engine.InProcessEngine.exchange\n"
        "def slowly(self, asks, *, deadline_s):\n    time.sleep(0.4)\n    return carry(self, asks, deadline_s=deadline_s)\n"
        "engine.InProcessEngine.exchange = slowly"
    )
    process = start(*hospitals, before=slow)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(tmp_path.rglob("*.00001.checkpoint"))) == 0:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "Traceback" not in out + err
    assert not list(tmp_path.rglob("report.html"))
    ledgers = sorted(tmp_path.rglob("*.sqlite"))
    assert len(ledgers) == 3
    for ledger in ledgers:
        assert huizhen("ledger", "verify", ledger).code == 0
    said = huizhen(*hospitals)
    assert said.code == 0, said.all


@pytest.mark.parametrize("option", ["--site", "--policy"])
def test_options_that_make_no_sense_are_said(huizhen, hospitals, option):
    said = huizhen(*hospitals, option, "nonsense")
    assert said.code == 2
    assert "nonsense" in said.err


def test_no_marked_value_leaves_in_any_file_or_line(huizhen, hospitals):
    """A value no policy lets out is planted in every column; it stands in no output, report, ledger or checkpoint."""

    def plant(rows):
        rows[5][0] = "98.7654321"
        rows[6][2] = "123.4567891"
        rows[0].append("note")
        for row in rows[1:]:
            row.append("SECRET-4711")

    rewritten(Path("east-gate.csv"), plant)
    said = huizhen(*hospitals)
    assert said.code == 0, said.all
    for path in Path("huizhen-out").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for value in (b"98.7654321", b"123.4567891", b"SECRET-4711"):
                assert value not in content, path
    for value in ("98.7654321", "123.4567891", "SECRET-4711"):
        assert value not in said.all


def test_a_folder_that_cannot_be_made_is_said_before_the_demo_begins(huizhen):
    Path("taken").write_text("a file")
    said = huizhen("demo", "--out", "taken/below")
    assert said.code == 4
    assert "folder" in said.err
    assert "NCCTG" not in said.out
