"""Tables that are already in memory, a mapping of arrays or a pandas DataFrame, read as a study needs them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.columnfacts import ColumnFacts
from huizhen.data.declared import (
    Declared,
    constant_site,
    infinite,
    no_column,
    no_value,
    outside_levels,
    short,
    text_for_number,
)
from huizhen.data.delimited import repeated
from huizhen.data.examples import SITE, Column, Examples, Images, Numbers, show_number
from huizhen.data.images import ImageFacts, as_images, image_facts
from huizhen.data.labels import NO_TEXT, as_categories, is_missing, is_unicode, text_as_number
from huizhen.errors import DataError, Problem

__all__ = ["column_facts", "images_in", "table"]

UNEQUAL = ("arrays of unequal size", "images of one size", "Bring them all to one size")
NOTHING = ("NAType", "NaTType", "NoneType")  # a missing value's type in pandas and Python


def table(frame: Any, *, variables: Mapping[str, Declared], site: str) -> Examples:
    """Named columns of a table in memory, and the column ``site``, which says `site` in every row.

    Args:
        frame: a mapping of column names to one-dimensional arrays or lists of equal length (images: arrays of three dimensions or
            more, rows first), or a pandas DataFrame. Columns of float64 and images are not copied, so they must not be changed
            while a study runs.
        variables: what to read, and as what.

    Raises:
        DataError: columns are missing, repeated, empty, of unequal length, or hold what the variables do not allow; all problems
            at once, by position (from 0) and column, and never with what stands in a cell.
    """
    own = list(frame.columns if hasattr(frame, "columns") else frame)  # a DataFrame may have names that are no text
    names = {str(name): name for name in own}
    twice = repeated("table", tuple(map(str, own)))
    if twice:
        raise DataError("the table cannot be read", [twice])
    wanted = {name: variable for name, variable in variables.items() if name != SITE}
    problems = [no_column("table", name, list(names)) for name in wanted if name not in names]
    columns: dict[str, Column] = {}
    for name, variable in wanted.items():
        if name in names:
            column, found = _column(f"column {short(name)!r}", frame[names[name]], variable)
            problems += found
            if column is not None:
                columns[name] = column
    lengths = {len(column.missing()) for column in columns.values()} or {_length(frame)}
    if len(lengths) > 1:
        problems.append(Problem("table", f"columns of {len(lengths)} different lengths", "columns of equal length"))
    if not max(lengths):
        problems.append(Problem("table", "no rows", "at least one row"))
    if problems:
        raise DataError("the table cannot be read as the study needs it", problems)
    rows = max(lengths)
    return Examples({**{name: columns[name] for name in wanted}, SITE: constant_site(site, rows)}, rows)


def column_facts(name: str, values: NDArray[Any]) -> ColumnFacts:
    """What an array holds, as a source would say of its column."""
    if values.ndim > 2:
        facts = image_facts(values.shape[1:], values.dtype)
        return ColumnFacts(name, "image", len(values), 0, facts.shape if facts else (), facts.stored if facts else "")
    if values.dtype.kind in "biuf":
        return ColumnFacts(name, "number", int(np.count_nonzero(~np.isnan(values))) if values.dtype.kind == "f" else len(values))
    cells = [_as_text(cell) for cell in values.tolist()]
    filled = sum(not is_missing(cell) for cell in cells)
    texts = sum(text_as_number(cell) is None for cell in cells)
    return ColumnFacts(name, "category" if texts else "number", filled, texts)


def images_in(frame: Any, names: Sequence[str]) -> dict[str, ImageFacts]:
    """What the images of a table in memory are; columns that are not there or hold no images are left out."""
    found: dict[str, ImageFacts] = {}
    for name in names:
        if name in frame and (array := _stacked(frame[name])) is not None:
            facts = image_facts(array.shape[1:], array.dtype)
            if facts:
                found[name] = facts
    return found


def _stacked(cells: Any) -> NDArray[Any] | None:
    """Arrays as one, rows first; None where they are no images or differ in size."""
    try:
        array = np.asarray(cells)
        if array.dtype == object and array.ndim == 1 and len(array):  # a DataFrame keeps each image in a cell
            array = np.stack(array.tolist())
    except (ValueError, TypeError):
        return None
    return array if array.ndim > 1 else None


def _length(frame: Any) -> int:
    return (
        len(frame)
        if hasattr(frame, "columns")
        else max((len(frame[name]) for name in frame if hasattr(frame[name], "__len__")), default=0)
    )


def _column(where: str, cells: Any, variable: Declared) -> tuple[Column | None, list[Problem]]:
    try:
        array: NDArray[Any] = np.asarray(np.ma.filled(cells.astype(object), None) if np.ma.isMaskedArray(cells) else cells)
    except ValueError:  # lists of unequal length
        if variable.kind == "image":
            return None, [Problem(where, *UNEQUAL)]
        return None, [Problem(where, "lists or other compound values", "one value for each row")]
    if variable.kind == "image":
        images = _images(where, array, variable)
        return (None, [images]) if isinstance(images, Problem) else (images, [])
    if array.ndim != 1:
        return None, [Problem(where, f"an array of {array.ndim} dimensions", "one value for each row")]
    kind = array.dtype.kind
    if kind not in "biufOUSMT" or (kind == "M" and variable.kind == "number"):
        found = "dates" if kind == "M" else f"values of type {array.dtype}"
        return None, [Problem(where, found, "numbers" if variable.kind == "number" else "numbers or text")]
    column, problems = _numbers(where, array) if variable.kind == "number" else _categories(where, array, variable)
    if column is not None and not problems and len(array) and column.missing().all():
        problems = [no_value(where, len(array))]
    return column, problems


def _images(where: str, array: NDArray[Any], variable: Declared) -> Images | Problem:
    stacked = _stacked(array)
    if stacked is None and array.dtype == object and any(np.ndim(cell) for cell in array):
        return Problem(where, *UNEQUAL)
    if stacked is None:
        return Problem(where, "one value for each row", "an image for each row", "An array of images has three dimensions or more")
    return as_images(where, stacked, variable.shape, len(variable.levels))


def _numbers(where: str, array: NDArray[Any]) -> tuple[Column | None, list[Problem]]:
    if array.dtype.kind in "biuf":
        with np.errstate(over="ignore", invalid="ignore"):  # longer numbers; what is too large becomes infinite, and is refused
            values = array.astype(np.float64, copy=False)
        bad, commas = np.isinf(values), 0
        endless = int(np.count_nonzero(bad))
    else:
        coded = _distinct(where, array)
        if isinstance(coded, Problem):
            return None, [coded]
        codes, distinct = coded
        numbers = [_as_number(cell) for cell in distinct]
        values = np.array([math.inf if number is None else number for number in numbers] or [math.nan])[codes]
        bad = np.isinf(values)
        endless = int(np.isin(codes, [at for at, number in enumerate(numbers) if number in (math.inf, -math.inf)]).sum())
        commas = int(np.isin(codes, [at for at, cell in enumerate(distinct) if _has_comma(cell)]).sum())
    count = int(np.count_nonzero(bad))
    if not count:
        return Numbers(values), []
    place = f"row {int(np.argmax(bad))}, {where}"
    if endless == count:
        return Numbers(values), [infinite(place, count, len(values))]
    return Numbers(values), [text_for_number(place, count, len(values), commas)]


def _categories(where: str, array: NDArray[Any], variable: Declared) -> tuple[Column | None, list[Problem]]:
    if array.dtype.kind in "biufM":
        distinct, inverse = np.unique(array, return_inverse=True)
        codes = inverse.astype(np.int32)
        cells = list(distinct) if array.dtype.kind == "M" else distinct.tolist()
    else:
        coded = _distinct(where, array)
        if isinstance(coded, Problem):
            return None, [coded]
        codes, cells = coded
    texts = [_as_text(cell) for cell in cells]
    if not all(map(is_unicode, texts)):
        return None, [Problem(where, *NO_TEXT)]
    column, strangers = as_categories(codes, texts, variable.levels)
    return column, [outside_levels(where, strangers, len(array), variable.levels)] if strangers else []


def _distinct(where: str, array: NDArray[Any]) -> tuple[NDArray[np.int32], list[Any]] | Problem:
    places: defaultdict[Any, int] = defaultdict()
    places.default_factory = places.__len__
    try:
        codes = np.fromiter(map(places.__getitem__, array.tolist()), np.int32, len(array))
    except TypeError:
        pass
    else:
        return codes, list(places)
    return Problem(where, "lists or other compound values", "numbers or text")


def _as_number(cell: Any) -> float | None:
    if type(cell).__name__ in NOTHING:
        return math.nan
    if isinstance(cell, str):
        return text_as_number(cell)
    try:
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        return None


def _as_text(cell: Any) -> str:
    if type(cell).__name__ in NOTHING or (isinstance(cell, np.datetime64) and np.isnat(cell)):
        return ""
    if isinstance(cell, np.datetime64):
        return str(cell.astype("datetime64[s]")).removesuffix("T00:00:00")
    if isinstance(cell, int):  # exact, however large; True is 1
        return str(int(cell))
    if isinstance(cell, float):
        return show_number(cell)
    return cell.decode(errors="replace") if isinstance(cell, bytes) else str(cell)


def _has_comma(cell: Any) -> bool:
    return isinstance(cell, str) and cell.count(",") == 1 and text_as_number(cell.replace(",", ".")) is not None
