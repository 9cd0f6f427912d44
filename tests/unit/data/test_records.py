"""Sources: what is read, and that everything that is wrong is named by file, line and column, and never by its value."""

import csv
import os
import re
import traceback

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huizhen.data import tablefile
from huizhen.data.declared import doubts
from huizhen.data.examples import SITE, Categories, Numbers
from huizhen.data.labels import is_missing
from huizhen.data.records import open_source, table
from huizhen.errors import DataError
from huizhen.privacy.release import Variable

SECRET, SECRET_NUMBER = "SECRET-7f3a", "987654321.125"
NUMBER, CATEGORY = Variable("number"), Variable("category")


@pytest.fixture
def write(tmp_path):
    def write(text, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def refused(action):
    """The message of the DataError that `action` raises, after making sure that no patient's value hangs on it anywhere."""
    with pytest.raises(DataError) as caught:
        action()
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    told = "".join(traceback.format_exception(error, chain=True)) + repr(error) + str(error.problems) + repr(error.args)
    assert SECRET not in told
    assert SECRET_NUMBER not in told
    return str(error)


def read(path, **variables):
    return open_source(path).read(variables, site="north")


def labels(column):
    return [None if code < 0 else column.levels[code] for code in column.codes]


def test_numbers_and_categories_are_read_with_the_site(write):
    source = open_source(write("age,sex,site\n61,f,x\n,m,x\n70.5,,x\n"))
    assert source.names == ("age", "sex", "site")
    assert source.rows == 3
    assert [(c.name, c.kind, c.filled) for c in source.columns[:2]] == [("age", "number", 2), ("sex", "category", 2)]
    examples = source.read({"age": NUMBER, "sex": CATEGORY}, site="north")
    assert examples.rows == 3
    np.testing.assert_array_equal(examples.number("age"), [61, np.nan, 70.5])
    assert labels(examples.category("sex")) == ["f", "m", None]
    assert labels(examples.category(SITE)) == ["north"] * 3
    assert examples.columns["age"].values.dtype == np.float64
    assert examples.columns["sex"].codes.dtype == np.int32


@pytest.mark.parametrize(
    "text",
    [
        "age;sex\n61;f\n70;m\n",
        "age\tsex\n61\tf\n70\tm\n",
        "age|sex\n61|f\n70|m\n",
        "age,sex\r\n61,f\r\n70,m\r\n",
        "age,sex\r61,f\r70,m\r",
        "\ufeffage,sex\n61,f\n70,m",
        '"age","sex"\n"61","f"\n\n"70","m"\n\n',
        " age , sex \n 61 , f \n 70 , m \n",
    ],
    ids=["semicolon", "tab", "bar", "CRLF", "CR", "BOM", "quotes and blank lines", "blanks"],
)
def test_every_usual_dialect_is_read_alike(write, text):
    examples = read(write(text), age=NUMBER, sex=CATEGORY)
    assert examples.number("age").tolist() == [61, 70]
    assert labels(examples.category("sex")) == ["f", "m"]


def test_chinese_names_quotes_and_line_ends_inside_cells_are_kept(write):
    examples = read(
        write('年龄,诊断,"a ""b"", c"\n61,肺癌,"x, ""y""\nz"\n70,胃癌,q\n'),
        **{"年龄": NUMBER, "诊断": CATEGORY, 'a "b", c': CATEGORY},
    )
    assert labels(examples.category("诊断")) == ["肺癌", "胃癌"]
    assert labels(examples.category('a "b", c')) == ['x, "y"\nz', "q"]


def test_marks_for_missing_are_missing_in_any_case(write):
    marks = ["", "NA", "na", "NaN", "N/A", "n/a", "NULL", "Null", ".", "?", " NA ", '""']
    path = write("id,x,y\n" + "".join(f"{i},{mark},{mark}\n" for i, mark in enumerate(marks)) + "99,1,b\n")
    examples = read(path, x=NUMBER, y=CATEGORY)
    assert examples.columns["x"].missing().tolist() == [True] * len(marks) + [False]
    assert labels(examples.category("y")) == [None] * len(marks) + ["b"]
    assert [(c.kind, c.filled) for c in open_source(path).columns[1:]] == [("number", 1), ("category", 1)]


def test_a_label_that_is_a_number_is_the_same_level_however_it_is_written(write, tmp_path):
    examples = read(write("grade\n1\n1.0\n 2 \n10\n007\n"), grade=CATEGORY)
    assert labels(examples.category("grade")) == ["1", "1", "2", "10", "007"]
    assert examples.category("grade").levels == ("1", "2", "10", "007")
    pd.DataFrame({"grade": [1.0, 2.0, None, 1e16]}).to_parquet(tmp_path / "g.parquet")
    assert labels(read(tmp_path / "g.parquet", grade=CATEGORY).category("grade")) == ["1", "2", None, "10000000000000000"]


def test_a_code_that_starts_with_zero_is_guessed_to_be_a_category(write):
    assert open_source(write("a,b\n007,0.5\n12,0\n")).columns[0].kind == "category"
    assert open_source(write("a,b\n007,0.5\n12,0\n")).columns[1].kind == "number"


def test_declared_levels_keep_their_order(write):
    examples = read(write("stage\nII\nI\nIII\n"), stage=Variable("category", levels=("III", "II", "I", "IV")))
    assert examples.category("stage").levels == ("III", "II", "I", "IV")
    assert examples.category("stage").codes.tolist() == [1, 2, 0]


def test_the_kinds_of_parquet_are_read(tmp_path):
    frame = pd.DataFrame(
        {
            "Age": [61, 70, 55],
            "age": [1.5, None, 2.5],
            "dead": [True, False, True],
            "sex": pd.Categorical(["f", None, "m"]),
            "seen": pd.to_datetime(["2020-01-02", "2021-03-04", None]),
            'odd "name"': ["1", "NA", "2"],
            "scans": [[1], [2], [3]],
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    source = open_source(tmp_path / "t.parquet")
    wanted = dict.fromkeys(("Age", "age", "dead", 'odd "name"'), NUMBER) | dict.fromkeys(("sex", "seen"), CATEGORY)
    examples = source.read(wanted, site="north")
    assert examples.number("Age").tolist() == [61, 70, 55]
    np.testing.assert_array_equal(examples.number("age"), [1.5, np.nan, 2.5])
    assert examples.number("dead").tolist() == [1, 0, 1]
    np.testing.assert_array_equal(examples.number('odd "name"'), [1, np.nan, 2])
    assert labels(examples.category("sex")) == ["f", None, "m"]
    assert labels(examples.category("seen"))[0].startswith("2020-01-02")
    assert "scans" not in source.names
    assert "column 'scans'" in str(source.warnings[0])
    assert labels(source.read({"dead": CATEGORY}, site="n").category("dead")) == ["1", "0", "1"]
    assert "column 'seen': found dates, expected numbers" in refused(lambda: source.read({"seen": NUMBER}, site="n"))


def test_a_folder_is_one_table_in_the_order_of_its_file_names(tmp_path):
    folder = tmp_path / "year=2020"  # a name that some readers turn into a column
    folder.mkdir()
    (folder / "b.csv").write_text("sex;age\nm;3\n")
    (folder / "a.csv").write_text("age,sex\n1,f\n2,\n")
    pd.DataFrame({"age": [4], "sex": ["x"]}).to_parquet(folder / "c.parquet")
    (folder / "notes.md").write_text("not a table")
    (folder / ".hidden.csv").write_text("other\n1\n")
    examples = read(folder, age=NUMBER, sex=CATEGORY)
    assert examples.number("age").tolist() == [1, 2, 3, 4]
    assert labels(examples.category("sex")) == ["f", None, "m", "x"]
    assert open_source(folder).rows == 4


def test_rows_stay_in_the_order_of_the_file_however_many_columns_are_read(tmp_path):
    rows = 200_000
    values = np.arange(rows, dtype=float)
    frame = pd.DataFrame({f"x{k}": values + k for k in range(11)} | {"g": np.array(["a", "b", "c"])[np.arange(rows) % 3]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=20_000)
    wanted = {name: CATEGORY if name == "g" else NUMBER for name in frame}
    for name in ("t.csv", "t.parquet"):
        examples = read(tmp_path / name, **wanted)
        for k in range(11):
            np.testing.assert_array_equal(examples.number(f"x{k}"), values + k)
        np.testing.assert_array_equal(examples.category("g").codes, np.arange(rows) % 3)


# What cannot be opened


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "table.csv: found an empty file, expected a header and rows"),
        (b"\n \n", "found an empty file"),
        (b"age,sex\n", "found a header and no rows"),
        (b"\n\nage,sex\n1,f\n", "line 1: found an empty line, expected a header line"),
        (b"age,sex,age\n1,f,2\n", "line 1: found more than one column named 'age'"),
        (f"{SECRET},{SECRET_NUMBER}\n{SECRET},2\n".encode(), "found 1 of 2 names that are numbers or dates.*Add a header line"),
        (f"{SECRET},2020-01-31\n{SECRET},2\n".encode(), "found 1 of 2 names that are numbers or dates"),
        (b"\x00\x01\x02" + SECRET.encode(), "found bytes that are no UTF-8 text"),
        (b"a,b\n1,\xff\xff" + SECRET.encode(), "found bytes that are no UTF-8 text"),
        (b"PK\x03\x04" + SECRET.encode(), "found an Excel workbook or a zip archive"),
        (b"\x1f\x8b" + SECRET.encode(), "found a gzip archive.*gunzip"),
        (f"a,b\n1,{SECRET}\n".encode("utf-16"), "found UTF-16 text.*iconv -f UTF-16"),
        ("年龄,诊断\n61,肺癌\n".encode("gb18030"), "not UTF-8 .perhaps GB18030 or GBK.*iconv -f GB18030"),
        (b"PAR1" + SECRET.encode() + b"PAR1", "found a damaged file"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_a_remedy(write, content, said):
    assert re.search(said, refused(lambda: open_source(write(content))))


def test_what_is_not_there_or_may_not_be_read_is_named(tmp_path, write):
    assert "found no such file or folder" in refused(lambda: open_source(tmp_path / "none.csv"))
    (tmp_path / "empty").mkdir()
    assert "found a folder without tables" in refused(lambda: open_source(tmp_path / "empty"))
    assert "found a path with *" in refused(lambda: open_source(tmp_path / "*.csv"))
    if os.geteuid():
        path = write("a\n1\n")
        path.chmod(0)
        assert "may not be read" in refused(lambda: open_source(path))


def test_a_parquet_file_that_was_cut_short_is_refused(tmp_path):
    path = tmp_path / "t.parquet"
    pd.DataFrame({"a": [SECRET] * 50}).to_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    assert "found a damaged file, or none in Parquet format" in refused(lambda: open_source(path))
    path.write_text(f"a,b\n1,{SECRET}\n")
    assert "found a damaged file, or none in Parquet format" in refused(lambda: open_source(path))


def test_a_parquet_file_that_is_damaged_inside_is_refused(tmp_path):
    path = tmp_path / "t.parquet"
    pd.DataFrame({"a": [f"{SECRET}{k}" for k in range(5000)]}).to_parquet(path, compression="snappy")
    content = bytearray(path.read_bytes())
    content[40:4000] = bytes(3960)
    path.write_bytes(content)
    assert "found a damaged file" in refused(lambda: read(path, a=CATEGORY))


def test_a_parquet_file_without_rows_or_with_repeated_names_is_refused(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pd.DataFrame({"a": np.array([], float)}).to_parquet(tmp_path / "none.parquet")
    assert "found no rows" in refused(lambda: open_source(tmp_path / "none.parquet"))
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), tmp_path / "twice.parquet")
    assert "more than one column named 'a'" in refused(lambda: open_source(tmp_path / "twice.parquet"))


def test_all_files_of_a_folder_that_are_wrong_are_named_at_once(tmp_path):
    (tmp_path / "a.csv").write_text("")
    (tmp_path / "b.csv").write_text("x,x\n1,2\n")
    message = refused(lambda: open_source(tmp_path))
    assert "a.csv: found an empty file" in message
    assert "b.csv, line 1: found more than one column" in message


def test_files_of_a_folder_with_other_columns_are_named(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b.csv").write_text("x,z\n1,2\n")
    assert "b.csv: found columns without y and with z besides, expected the columns of a.csv" in refused(
        lambda: open_source(tmp_path)
    )


# What cannot be read


def test_a_missing_column_is_answered_with_those_that_are_there(write):
    message = refused(lambda: read(write("age,sex,ph.ecog\n1,f,0\n"), Age=NUMBER, ph_ecog=NUMBER, height=NUMBER))
    assert "found no column 'Age', expected one of: age, sex, ph.ecog. Did you mean 'age'?" in message
    assert "found no column 'ph_ecog', expected one of: age, sex, ph.ecog. Did you mean 'ph.ecog'?" in message
    assert "found no column 'height'" in message


def test_only_twenty_of_many_columns_are_listed(write):
    names = [f"c{k}" for k in range(30)]
    path = write(",".join(names) + "\n" + ",".join("1" for _ in names) + "\n")
    assert "c19 and 10 more" in refused(lambda: read(path, age=NUMBER))


def test_another_delimiter_in_a_header_of_one_column_is_pointed_out(write):
    message = refused(lambda: read(write(f"age:sex\n61:{SECRET}\n"), age=NUMBER))
    assert "The header is one column with ':' in it; the delimiter of columns must be comma" in message


def test_text_where_a_number_belongs_is_named_by_line_and_column(write):
    rows = "".join(f'{k},"a\nb"\n\n' for k in range(3))  # each record takes three lines: two of its own and a blank one
    path = write(f"age,note\n{rows}{SECRET},x\n5,y\n{SECRET},z\n")
    message = refused(lambda: read(path, age=NUMBER))
    assert "table.csv, line 11, column 'age': found text where a number belongs (in 2 of 6 rows)" in message
    assert path.read_text().splitlines()[11 - 1].startswith(SECRET)


def test_all_problems_of_all_columns_and_files_come_at_once(tmp_path):
    (tmp_path / "a.csv").write_text(f"x,y,z,w\n1,2,,inf\n{SECRET},3,NA,1\n")
    (tmp_path / "b.csv").write_text(f'x,y,z,w\n1,"{SECRET_NUMBER.replace(".", ",")}",,2\n')
    message = refused(lambda: read(tmp_path, x=NUMBER, y=NUMBER, z=NUMBER, w=NUMBER, v=NUMBER))
    assert "a.csv, line 3, column 'x': found text where a number belongs (in 1 of 2 rows)" in message
    assert "b.csv, line 2, column 'y': found a decimal comma or thousands mark (in 1 of 1 row)" in message
    assert "column 'z': found no value in any of 3 rows" in message
    assert "a.csv, line 2, column 'w': found an infinite number (in 1 of 2 rows)" in message
    assert message.count("no column 'v'") == 2
    assert SECRET_NUMBER.replace(".", ",") not in message


@pytest.mark.parametrize("cell", ["1_000", "0x1F", "1 000", "true", "1e", "--1", "١", "1/2", "2020-01-01", "$5"])
def test_what_only_resembles_a_number_is_none(write, cell):
    message = refused(lambda: read(write(f"age,b\n1,2\n{cell},2\n"), age=NUMBER))
    assert "line 3, column 'age': found text where a number belongs (in 1 of 2 rows)" in message
    assert "row 1, column 'age': found text" in refused(lambda: table({"age": ["1", cell]}, variables={"age": NUMBER}, site="n"))


@pytest.mark.parametrize(("cell", "value"), [("1e5", 1e5), ("+5", 5), (".5", 0.5), ("5.", 5), (" 7 ", 7), ("-0.25", -0.25)])
def test_every_usual_way_to_write_a_number_is_read(write, cell, value):
    assert read(write(f"age,b\n{cell},2\n"), age=NUMBER).number("age").tolist() == [value]
    assert table({"age": [cell]}, variables={"age": NUMBER}, site="n").number("age").tolist() == [value]


def test_rows_of_unequal_length_are_named(write):
    message = refused(lambda: read(write(f"a,b\n1,2\n{SECRET}\n1,2,{SECRET}\n"), a=CATEGORY))
    assert "table.csv, line 3: found 1 cells (2 rows of unequal length in all), expected 2 cells as in the header" in message
    message = refused(lambda: read(write(f"a,b\nr1,1,{SECRET}\nr2,1,{SECRET}\n"), a=CATEGORY))
    assert "column of row names without its own name" in message


def test_quotes_that_do_not_close_are_named(write):
    message = refused(lambda: open_source(write(f'a,b\n1,2\n3,"{SECRET}\n5,6\n')).read({"a": NUMBER}, site="n"))
    assert "from line 3 on: found quotes that do not close" in message


def test_values_outside_the_declared_levels_are_counted(write):
    levels = Variable("category", levels=("f", "m"))
    message = refused(lambda: read(write(f"sex\nf\n{SECRET}\n{SECRET}\n\nm\n"), sex=levels))
    assert "column 'sex': found other values in 2 of 5 rows, expected one of the declared levels: f, m" in message


def test_values_outside_the_declared_range_and_inexact_integers_are_doubts(write):
    variables = {"age": Variable("number", range=(0, 120)), "id": NUMBER}
    examples = read(write("age,id\n61,9007199254740993\n130,1\n-1,2\n"), **variables)
    found = [str(problem) for problem in doubts(examples, variables)]
    assert "column 'age': found values outside the declared range in 2 rows, expected values from 0 to 120" in found[0]
    assert "column 'id': found integers of 2^53 or more in 1 row" in found[1]


def test_columns_without_a_name_are_left_out_with_a_warning(write):
    source = open_source(write(",age\n1,61\n"))
    assert source.names == ("age",)
    assert "column 1 (without a name)" in str(source.warnings[0])


# What is written can be read again

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
VALUES = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**15), 10**15).map(float)
TABLES = st.lists(st.tuples(VALUES, CELLS, st.integers(0, 9)), min_size=1, max_size=12).filter(
    lambda t: any(x is not None for x, _, _ in t)
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TABLES, st.sampled_from([",", ";", "\t", "|"]), st.sampled_from(["\n", "\r\n"]))
def test_a_table_written_as_csv_or_parquet_is_read_as_it_was(tmp_path, rows, delimiter, line_end):
    numbers = [np.nan if x is None else x for x, _, _ in rows]
    with (tmp_path / "t.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL)
        writer.writerow(["数 x", "text", "whole"])
        writer.writerows([["" if x is None else repr(x), text, whole] for x, text, whole in rows])
    pd.DataFrame({"数 x": numbers, "text": [r[1] for r in rows], "whole": [r[2] for r in rows]}).to_parquet(tmp_path / "t.parquet")
    frame = {"数 x": [x for x, _, _ in rows], "text": [r[1] for r in rows], "whole": [r[2] for r in rows]}
    wanted = {"数 x": NUMBER, "whole": NUMBER}
    if not all(is_missing(text) for _, text, _ in rows):
        wanted["text"] = CATEGORY
    read_back = [
        read(tmp_path / "t.csv", **wanted),
        read(tmp_path / "t.parquet", **wanted),
        table(frame, variables=wanted, site="n"),
    ]
    for examples in read_back:
        np.testing.assert_array_equal(examples.number("数 x"), numbers)
        assert examples.number("whole").tolist() == [r[2] for r in rows]
    if "text" in wanted:
        first = labels(read_back[1].category("text"))
        assert labels(read_back[2].category("text")) == first
        assert labels(read_back[0].category("text")) == first


# Tables in memory


def test_a_mapping_or_a_data_frame_is_read():
    frame = pd.DataFrame(
        {
            "age": [61, None, 70],
            "sex": pd.Categorical(["f", "m", None]),
            "dead": pd.array([True, None, False], dtype="boolean"),
            "seen": pd.to_datetime(["2020-01-02 00:00", None, "2021-03-04 05:06"]),
            "grade": ["1", 1.0, 2],
        }
    )
    wanted = {"age": NUMBER, "dead": NUMBER} | dict.fromkeys(("sex", "seen", "grade"), CATEGORY)
    for given_table in (frame, {name: frame[name] for name in frame}):
        examples = table(given_table, variables=wanted, site="north")
        np.testing.assert_array_equal(examples.number("age"), [61, np.nan, 70])
        np.testing.assert_array_equal(examples.number("dead"), [1, np.nan, 0])
        assert labels(examples.category("sex")) == ["f", "m", None]
        assert labels(examples.category("seen")) == ["2020-01-02", None, "2021-03-04T05:06:00"]
        assert labels(examples.category("grade")) == ["1", "1", "2"]
        assert labels(examples.category(SITE)) == ["north"] * 3


def test_a_column_of_numbers_in_memory_is_not_copied():
    ages = np.array([61.0, 70.0])
    assert table({"age": ages}, variables={"age": NUMBER}, site="n").number("age") is ages


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ({"age": [1, SECRET, SECRET]}, "row 1, column 'age': found text where a number belongs (in 2 of 3 rows)"),
        ({"age": ["1", "2,5"]}, "row 1, column 'age': found a decimal comma"),
        ({"age": [1.0, np.inf]}, "row 1, column 'age': found an infinite number (in 1 of 2 rows)"),
        ({"age": [np.nan, None]}, "column 'age': found no value in any of 2 rows"),
        ({"age": [[1], [SECRET, 2]]}, "column 'age': found lists or other compound values"),
        ({"age": np.ones((2, 2))}, "column 'age': found an array of 2 dimensions"),
        ({"age": np.array(["2020-01-01"], "datetime64[D]")}, "column 'age': found dates"),
        ({"age": []}, "table: found no rows"),
        ({"Age": [1]}, "found no column 'age', expected one of: Age. Did you mean 'Age'?"),
        ({"age": [1, 2], "b": ["x"]}, "table: found columns of 2 different lengths"),
        (pd.DataFrame([[1, 2]], columns=["age", "age"]), "more than one column named 'age'"),
    ],
)
def test_what_a_table_in_memory_may_not_hold_is_named(frame, said):
    wanted = {"age": NUMBER, "b": CATEGORY} if "b" in frame else {"age": NUMBER}
    assert said in refused(lambda: table(frame, variables=wanted, site="n"))


def test_declared_levels_hold_for_tables_in_memory_too():
    levels = {"sex": Variable("category", levels=("f", "m"))}
    assert "found other values in 1 of 2 rows" in refused(lambda: table({"sex": ["f", SECRET]}, variables=levels, site="n"))
    assert isinstance(table({"sex": ["f", "m"]}, variables=levels, site="n").columns["sex"], Categories)
    assert isinstance(table({"sex": [0, 1]}, variables={"sex": NUMBER}, site="n").columns["sex"], Numbers)


@pytest.mark.parametrize("said", [RuntimeError("Query interrupted"), duckdb.InterruptException("INTERRUPT Error: Interrupted!")])
def test_ctrl_c_while_a_file_is_read_stays_ctrl_c(write, said):
    def interrupted(_):
        raise said

    with pytest.raises(KeyboardInterrupt):
        tablefile._run(write("age\n1\n"), interrupted)
