"""The page: whole, safe, in two languages, the same every time, and never half-written."""

import base64
import hashlib
import html
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from huizhen.errors import MachineError
from huizhen.privacy.result import CellTable, Result, Table
from huizhen.report.content import Analysis, ReportContent
from huizhen.report.page import render, write

EMPTY = frozenset(["meta", "link", "br", "hr", "img", "input", "rect", "path", "use", "circle", "line"])
SVG = re.compile(r"<svg.*?</svg>", re.DOTALL)


class Outline(HTMLParser):
    """Elements with their attributes, and whether every element that opens is closed in turn."""

    def __init__(self, page):
        super().__init__()
        self.open, self.elements, self.wrong = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag in EMPTY:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append((tag, self.getpos()))

    def all(self, *tags):
        return [attrs for tag, attrs in self.elements if tag in tags]


@pytest.fixture(scope="module")
def page(content):
    return render(content)


@pytest.fixture(scope="module")
def outline(page):
    return Outline(page)


def words_of(page, language):
    other = "zh" if language == "en" else "en"
    page = re.sub(rf'<(span|tspan) class="{other}".*?</\1>', "", page)
    page = re.sub(r"<(style|script).*?</\1>", "", page, flags=re.DOTALL)
    return re.sub(r"[ \n]+", " ", html.unescape(re.sub(r"<[^>]+>", "", page)))


def test_every_element_is_closed_in_turn(outline):
    assert outline.wrong == []
    assert outline.open == []


def test_ids_are_unique_and_every_reference_finds_its_id(outline):
    ids = [attrs["id"] for _, attrs in outline.elements if "id" in attrs]
    named = [one for _, attrs in outline.elements for key in ("aria-labelledby",) for one in attrs.get(key, "").split()]
    named += [attrs["href"].removeprefix("#") for _, attrs in outline.elements if "href" in attrs]
    assert len(ids) == len(set(ids))
    assert set(named) <= set(ids)


def test_the_page_speaks_to_those_who_cannot_see_it(outline):
    assert len(outline.all("h1")) == 1
    assert len(outline.all("main")) == len(outline.all("header")) == len(outline.all("footer")) == 1
    assert len(outline.all("caption")) == len(outline.all("table"))
    assert all(attrs.get("scope") in ("col", "row", "colgroup") for attrs in outline.all("th"))
    assert all(attrs.get("aria-hidden") == "true" or attrs.get("role") == "img" for attrs in outline.all("svg"))
    assert outline.all("html")[0]["lang"] == "en"


def test_headings_leave_out_no_level(outline):
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))


def test_nothing_is_fetched_from_anywhere(page, outline):
    without_namespaces = page.replace("http://www.w3.org/2000/svg", "").replace("http://www.w3.org/1999/xlink", "")
    assert re.search(r"https?://|//[a-z]+\.|@import|url\((?!#)", without_namespaces) is None
    assert not outline.all("link", "img", "iframe", "object", "embed", "form", "base")
    assert not any("src" in attrs for _, attrs in outline.elements)


def test_the_policy_allows_the_two_inline_texts_by_their_digest_and_nothing_else(page, outline):
    policy = next(attrs["content"] for attrs in outline.all("meta") if attrs.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
        assert f"{tag}-src 'sha256-{base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()}'" in policy


def test_no_attribute_needs_what_the_policy_forbids(outline):
    assert not any(name == "style" or name.startswith("on") for _, attrs in outline.elements for name in attrs)


def test_every_plot_is_well_formed_and_has_a_title_and_a_description(page):
    plots = [ElementTree.fromstring(text) for text in SVG.findall(page) if 'role="img"' in text]
    assert len(plots) >= 5
    for plot in plots:
        names = [child.tag.rpartition("}")[2] for child in plot]
        assert names[:2] == ["title", "desc"]
        assert plot[0].text
        assert plot[1].text


def test_a_title_that_looks_like_markup_stays_a_title(content):
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    cells = CellTable(evil, evil, (evil, "b"), (evil, "d"), np.array([[7, 8], [9, 10]]), caption=evil)
    curve = {"time": (1.0, 2.0), "survival": (0.9, 0.8), "at_risk": (20, 18), "events": (2, 2), "censored": (0, 0)}
    number = {"coefficient": (0.5, 0.25), "standard_error": (0.1, 0.1), "ci_low": (0.3, 0.05), "ci_high": (0.7, 0.45)}
    result = Result(
        "cox",
        50,
        (evil,),
        {evil: evil, "chi2": 3.0, "p_value": 0.08},
        {"coefficients": Table({"term": (evil, "$x^2$")} | number, "term", evil), f"survival {evil}": Table(curve, "time", evil)},
        {evil: cells},
        notes=(evil,),
    )
    study = replace(
        content,
        title=evil,
        question=evil + "?",
        cohort=(evil,),
        participants={evil: 3} | dict(content.participants),
        analyses=(Analysis(evil, result, {evil: result}, result, result, evil, 0.0, 0.0, 1),),
        left=tuple(replace(one, site=evil, analysis=evil, what=evil) for one in content.left),
        policies={evil: {evil: evil}},
        notes=(evil,),
    )
    found = Outline(render(study))
    assert len(found.all("script")) == 1
    assert not found.all("img")
    assert not found.wrong
    assert not any(name.startswith("on") for _, attrs in found.elements for name in attrs)


def test_a_label_with_dollars_and_chinese_letters_is_drawn_as_it_stands(content):
    names = ("年龄$_{x}$", "a_b^c$")
    table = Table(
        {"term": names, "coefficient": (0.1, 0.2), "standard_error": (0.1, 0.1), "ci_low": (-0.1, 0.0), "ci_high": (0.3, 0.4)},
        "term",
    )
    page = render(replace(content, analyses=(Analysis("m", Result("glm", 90, ("a",), {}, {"coefficients": table}), {}),)))
    drawn = " ".join(SVG.findall(page))
    assert all(f">{name}</text>" in drawn for name in names)


def test_both_languages_stand_in_the_page(page):
    assert "What left the hospitals" in words_of(page, "en")
    assert "离开医院的信息" not in words_of(page, "en")
    assert "离开医院的信息" in words_of(page, "zh")
    assert "What left the hospitals" not in words_of(page, "zh")


def test_without_script_the_page_is_in_english(page):
    (style,) = re.findall(r"<style>(.*?)</style>", page, flags=re.DOTALL)
    assert re.search(r'\.zh, \[data-speaks="zh"\] \.en \{ display: none; \}', style)
    assert "data-speaks" not in page.replace(style, "").split("<script>")[0]


def test_the_same_content_gives_the_same_bytes(content, page):
    assert render(content) == page


def test_the_page_of_a_demonstration_is_below_300_kilobytes(page):
    assert len(page.encode()) < 300_000


def test_the_short_answer_tells_sites_patients_and_the_largest_difference(page):
    words = words_of(page, "en")
    assert "9 hospitals with 174 patients answered together" in words
    assert "equal those of the pooled rows to 1.2\u00a0×\u00a010⁻¹²" in words
    assert "lifelines 0.30.3, run on the pooled rows, agrees to 4.1\u00a0×\u00a010⁻¹⁰" in words


def test_failures_and_those_left_out_are_named_with_their_reason(page):
    words = words_of(page, "en")
    assert "The outcome is completely separated by biomarker" in words
    assert "Fewer events than the model needs" in words
    assert "5 rows, the policy's minimum is 10" in words
    assert "individual releases are not allowed" in words


def test_a_withheld_cell_is_said_to_be_withheld_and_never_shown_as_minus_one(content):
    page = render(replace(content, analyses=tuple(a for a in content.analyses if a.label.startswith("tabulate"))))
    words = words_of(page, "en")
    assert words.count("withheld") >= 3
    assert not re.search(r">\s*[-−]1\s*<", page)
    assert not re.search(r">\s*7,?913\b", page)  # the pooled rows have 7913 patients in a withheld cell


def test_what_the_federation_withholds_is_shown_from_no_other_side():
    table = Table({"variable": ("age", "rare"), "n": (90, None), "mean": (60.5, None)}, "variable", counts=("n",), support="n")
    whole = Table({"variable": ("age", "rare"), "n": (90, 3), "mean": (60.5, 123.456)}, "variable", counts=("n",), support="n")
    published = Result("summary", 90, ("a",), {"chi2": None}, {"numbers": table})
    pooled = Result("summary", 90, ("a",), {"chi2": 98.765}, {"numbers": whole})
    page = render(bare(Analysis("s", published, {"a": pooled}, pooled, pooled, "R", 0.0, 0.0)))
    assert "60.5" in page
    assert "123.456" not in page
    assert "123.5" not in page
    assert "98.7" not in page


def test_published_totals_are_shown_as_published():
    totals = {"row_totals": np.array([-1, 41]), "column_totals": np.array([36, -1]), "total": 77}
    cells = CellTable("x", "y", ("a", "b"), ("c", "d"), np.array([[-1, 20], [30, -1]]), **totals)
    page = render(bare(Analysis("t", Result("tabulate", 80, ("s",), {}, {}, {"counts": cells}), {})))
    assert ">77<" in page


def bare(analysis):
    """A report of one analysis and nothing else."""
    day = datetime(2025, 1, 1, tzinfo=UTC)
    return ReportContent("t", "", "d", "r", day, 1.0, "e", "plain", "v", (), {"a": 90}, (), (analysis,), (), (), {}, ())


def test_a_result_of_an_unknown_method_is_shown_by_its_tables_and_facts():
    table = Table({"bin": (1, 2), "height": (0.25, 0.75), "note": ("low", None)}, caption="Heights")
    result = Result("histogram", 12, ("a",), {"bandwidth": 1.5, "kept": {"deep": [1]}, "odd": (1, 2)}, {"heights": table})
    words = words_of(render(bare(Analysis("h", result, {}))), "en")
    assert "Heights" in words
    assert "bandwidth" in words
    assert "0.75" in words
    assert "deep" not in words


@pytest.mark.parametrize(
    "result",
    [
        Result("cox", 0, (), failure="no event"),
        Result("glm"),
        Result("x", tables={"empty": Table({})}),
        Result(
            "x",
            tables={"coefficients": Table({"term": ("a",), "coefficient": (None,), "ci_low": (None,), "ci_high": (None,)}, "term")},
        ),
        Result("x", tables={"survival": Table({"time": (), "survival": ()})}),
        Result("x", tables={"survival": Table({"time": (1.0, None), "survival": (None, None), "at_risk": (None, None)}, "time")}),
        Result("x", cells={"c": CellTable("", "", (), (), np.zeros((0, 0), dtype=np.int64))}),
        Result("x", cells={"c": CellTable("v", "", ("a",), ("n",), np.array([[-1]]))}),
        Result("x", facts={"a": np.nan, "b": np.inf, "c": -np.inf, "d": np.float64(2.5), "e": np.int64(3), "f": True, "g": None}),
        Result("x", arrays={"correlation": np.eye(3)}),
        Result(
            "table_one", tables={"numbers": Table({"variable": ("a",), "n": (None,), "mean": (None,), "sd": (None,)}, "variable")}
        ),
    ],
    ids=lambda result: "",
)
def test_a_sparse_result_is_shown_all_the_same(result):
    assert Outline(render(bare(Analysis("sparse", result, {"a": result}, result)))).wrong == []


def test_the_page_is_written_whole(content, page, tmp_path):
    path = write(content, tmp_path / "new folder" / "report.html")
    assert path.read_text(encoding="utf-8") == page
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failing_disk_leaves_the_old_report_and_nothing_beside_it(content, tmp_path, monkeypatch, call):
    (tmp_path / "report.html").write_text("old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(MachineError, match=r"No space left.*Free some space"):
        write(content, tmp_path / "report.html")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("report.html", "old")]


FULL_DISK = """
import resource, signal, sys
from huizhen.report.page import write
from huizhen.errors import MachineError
from datetime import UTC, datetime
from huizhen.report.content import ReportContent
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
day = datetime(2025, 1, 1, tzinfo=UTC)
try:
    empty = ReportContent("t", "", "d", "r", day, 1.0, "e", "plain", "v", (), {}, (), (), (), (), {}, ())
    write(empty, sys.argv[1] + "/report.html")
except MachineError as problem:
    print("refused:", problem)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are a matter of POSIX")
def test_a_disk_that_fills_up_in_the_middle_leaves_nothing(tmp_path):
    source = str(Path(__file__).parents[3] / "src")
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
        check=True,
    )
    assert "refused: the report could not be written" in ran.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_refused_with_what_to_do(content, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="name another folder"):
        write(content, tmp_path / "file" / "report.html")


CONTRAST = {"ink": 7, "soft": 4.5, "accent": 4.5, "warn": 4.5, "ring": 3, "g0": 3, "g1": 3, "g2": 3, "g3": 3, "g4": 3, "g5": 3}


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_words_stand_out_from_their_ground(page, theme):
    (style,) = re.findall(r"<style>(.*?)</style>", page, flags=re.DOTALL)
    colors = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", style.split(":root {")[theme + 1].split("}")[0]))
    for name, least in CONTRAST.items():
        for ground in ("paper", "sheet", "wash"):
            assert contrast(colors[name], colors[ground]) >= least, (name, ground)
    assert contrast(colors["warn"], colors["warn-wash"]) >= 4.5
    assert contrast(colors["accent"], colors["accent-wash"]) >= 4.5


def contrast(one, other):
    """WCAG 2.2, relative luminance and contrast ratio."""
    light = sorted((luminance(one), luminance(other)))
    return (light[1] + 0.05) / (light[0] + 0.05)


def luminance(color):
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
