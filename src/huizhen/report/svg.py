"""A drawing that lives inside a page: matplotlib lays it out, the page gives it colours, fonts and languages.

matplotlib never sees a reader's words: it places stand-ins of about the same width, and the words, escaped, take their places
afterwards. So no font needs Chinese letters, no label is read as mathematics, and each text is there in both languages. Colours
become classes of the page's style sheet (`Content-Security-Policy` forbids style attributes): a plot follows dark mode and print.
"""

from __future__ import annotations

import io
import re
import unicodedata
from typing import Any
from xml.etree import ElementTree  # reads only what matplotlib has just written

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from huizhen.report.words import Phrase

__all__ = ["INKS", "Sheet", "ink", "own_settings", "wide"]

NAMESPACE = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
INKS = ("ink", "soft", "line", "paper", "accent", "ring", "plus", "minus", *(f"g{i}" for i in range(6)))
STAND_INS = {f"#0000{i + 1:02x}": name for i, name in enumerate(INKS)}
PAINT = ("fill", "fill-opacity", "opacity", "stroke", "stroke-dasharray", "stroke-dashoffset", "stroke-linecap")
KEPT = frozenset((*PAINT, "stroke-linejoin", "stroke-opacity", "stroke-width", "text-anchor"))
FONT_SIZE = re.compile(r"([\d.]+)px")
FONT_PT = 9.5


def ink(name: str) -> str:
    """The stand-in colour for one of `INKS`."""
    return f"#0000{INKS.index(name) + 1:02x}"


def wide(text: str) -> float:
    """About the width of a text in letters: a Chinese letter counts for two."""
    return sum(1.9 if unicodedata.east_asian_width(letter) in "WF" else 1.0 for letter in text)


class Sheet:
    """A sheet of `width` x `height` points to draw on; `markup` ends it.

    Args:
        key: makes ids unique within the page.
    """

    def __init__(self, key: str, width: float, height: float) -> None:
        self.key, self.width, self.height = key, width, height
        self.words: dict[str, Phrase] = {}
        self.figure = Figure(figsize=(width / 72, height / 72))
        self.figure.patch.set_visible(False)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes at a place in points from the upper left corner, with a calm frame."""
        bottom = self.height - top - height
        place = (left / self.width, bottom / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(place)
        axes.patch.set_visible(False)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color(ink("line"))
        axes.tick_params(colors=ink("soft"), labelsize=FONT_PT - 1, length=3, width=0.6, color=ink("line"))
        return axes

    def write(self, axes: Axes, x: float, y: float, words: Phrase, *, color: str = "ink", most: int = 60, **placed: Any) -> None:
        """Write words at a place; longer ones than `most` letters are cut."""
        name = f"w{len(self.words)}"
        self.words[name] = Phrase(cut(words.en, most), cut(words.zh, most))
        width = round(max(wide(self.words[name].en), 1))
        settings: dict[str, Any] = {"fontsize": FONT_PT, "color": ink(color)} | placed
        axes.text(x, y, "x" * width, gid=name, **settings)

    def markup(self, title: Phrase, description: Phrase) -> Markup:
        """The drawing as an ``<svg>`` element with title and description; the same drawing gives the same bytes."""
        buffer = io.BytesIO()
        FigureCanvasSVG(self.figure).print_svg(buffer, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})  # type: ignore[no-untyped-call]
        root = ElementTree.fromstring(buffer.getvalue())  # noqa: S314
        root.attrib = {
            "viewBox": root.attrib["viewBox"],
            "class": "plot",
            "role": "img",
            "aria-labelledby": f"{self.key}-title {self.key}-desc",
        }
        for unwanted in [*root.findall(f"{NAMESPACE}metadata"), *root.findall(f"{NAMESPACE}defs")]:
            if unwanted.tag.endswith("metadata") or unwanted.find(f"{NAMESPACE}style") is not None:
                root.remove(unwanted)
        for group in root.iter(f"{NAMESPACE}g"):
            self.put_words(group)
        for element in root.iter():
            self.clean(element)
        for place, (name, words) in enumerate((("title", title), ("desc", description))):
            child = ElementTree.Element(f"{NAMESPACE}{name}", {"id": f"{self.key}-{name}"})
            child.text = words.en if words.en == words.zh else f"{words.en} / {words.zh}"
            root.insert(place, child)
        ElementTree.register_namespace("", NAMESPACE.strip("{}"))
        return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704  ElementTree escapes every text

    def put_words(self, group: ElementTree.Element) -> None:
        """Put the words of both languages in the place of their stand-in."""
        words, text = self.words.get(group.get("id", "")), group.find(f"{NAMESPACE}text")
        if words is None or text is None:
            return
        if words.en == words.zh:
            text.text = words.en
            return
        text.text = ""
        for language, code, said in (("en", "en", words.en), ("zh", "zh-Hans", words.zh)):
            part = ElementTree.SubElement(text, f"{NAMESPACE}tspan", {"class": language, "lang": code})
            part.text = said

    def clean(self, element: ElementTree.Element) -> None:
        """Style attributes become attributes and classes, ids become the page's, groups lose what nobody reads."""
        settings = dict(part.split(":", 1) for part in element.attrib.pop("style", "").split(";") if ":" in part)
        classes = []
        for raw, value in settings.items():
            name, value = raw.strip(), value.strip()
            if name in ("fill", "stroke") and value.lower() in STAND_INS:
                classes.append(f"{name[0]}-{STAND_INS[value.lower()]}")
            elif name in KEPT:
                element.set(name, value)
            elif name in ("font", "font-size") and (found := FONT_SIZE.search(value)):
                element.set("font-size", found.group(1))
        if classes:
            element.set("class", " ".join(filter(None, (element.get("class"), *classes))))
        if LINK in element.attrib:
            element.set("href", f"#{self.key}-{element.attrib.pop(LINK).removeprefix('#')}")
        if "clip-path" in element.attrib:
            element.set("clip-path", element.attrib["clip-path"].replace("url(#", f"url(#{self.key}-"))
        if "id" in element.attrib:
            named = element.attrib.pop("id")
            if element.tag.removeprefix(NAMESPACE) != "g":
                element.set("id", f"{self.key}-{named}")
        element.text = (element.text or "").strip() or None
        element.tail = None


def cut(text: str, most: int) -> str:
    """A text of at most about `most` letters' width."""
    if wide(text) <= most:
        return text
    kept = ""
    for letter in text:
        if wide(kept) + wide(letter) > most - 1:
            break
        kept += letter
    return kept.rstrip() + "…"


def own_settings() -> Any:
    """matplotlib's own defaults within a ``with``: no setting of the reader's machine changes a plot."""
    defaults = {name: value for name, value in mpl.rcParamsDefault.items() if not name.startswith("backend")}
    return mpl.rc_context({**defaults, "svg.fonttype": "none", "svg.hashsalt": "huizhen", "font.family": ["DejaVu Sans"]})
