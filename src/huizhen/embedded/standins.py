"""Stand-ins for a table or a registry, written into a new folder; made from a card alone, the same from the same seed."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np

from huizhen.data.synthetic.bundles import bundles
from huizhen.data.synthetic.signals import electrocardiogram
from huizhen.data.synthetic.tables import columns
from huizhen.data.synthetic.volumes import chest, write_series
from huizhen.errors import CallerError, MachineError, Problem

__all__ = ["Wanted", "read_card", "write_standins"]

MOST = 1_000_000  # rows or patients
SECONDS, HERTZ, LEADS, NODULES = 10.0, 500, 12, 3  # of a resting electrocardiogram; nodules of a volume, at most


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much is made.

    Attributes:
        rows: of the table, or patients; None: as many as the card tells.
        volumes, signals: how many, beside what the card asks for.
        side: rows and columns of a slice; half as many slices.
    """

    seed: int = 0
    rows: int | None = None
    volumes: int = 0
    signals: int = 0
    side: int = 128


def read_card(path: Path) -> Mapping[str, Any]:
    """A card as `huizhen describe --json` or `huizhen data card --json` prints it.

    Raises:
        CallerError: it is no card. MachineError: it cannot be read.
    """
    try:
        card: Any = json.loads(path.read_text(encoding="utf-8"))
        _look(card)
        return dict(card)
    except OSError as error:
        problem = Problem(str(path), error.strerror or "an error", "a readable card")
        raise MachineError("The card cannot be read.", [problem]) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        remedy = "Write one: huizhen describe DATA --json, or huizhen data card --json"
        raise CallerError("This is no card.", [Problem(str(path), "another form", "a card as JSON", remedy)]) from None


def write_standins(card: Mapping[str, Any], out: Path, wanted: Wanted) -> tuple[Path, ...]:
    """What stands in the folder afterwards: files and folders of one kind each.

    Raises:
        CallerError: something stands there, or the card tells too little.
        MachineError: it cannot be written, or pydicom is missing.
    """
    told = card.get("patients") if "registry" in card else card.get("rows")
    rows = wanted.rows if wanted.rows is not None else told
    if not isinstance(rows, int) or not 0 < rows <= MOST:
        found = "a card of too few patients" if rows is None else f"{rows} rows"
        raise CallerError("Nothing can be made from this card.", [Problem("--rows", found, f"1 to {MOST:,} rows")])
    rng = np.random.default_rng(wanted.seed)
    try:
        out.mkdir(parents=True)
        with ExitStack() as stack:
            stack.callback(rmtree, out, ignore_errors=True)  # whole, or nothing is there
            written = tuple(_written(card, out, rows, wanted, rng))
            stack.pop_all()
        return written
    except FileExistsError:
        raise CallerError(
            "Nothing is written.", [Problem(str(out), "a folder that is there already", "a name that is free")]
        ) from None
    except OSError as error:
        problem = Problem(str(out), error.strerror or "an error", "a folder that can be written")
        raise MachineError("The stand-ins cannot be written.", [problem]) from None


def _look(card: Any) -> None:
    """Raises what a card that lacks something raises."""
    if "registry" in card:
        for code in card["codes"]:
            _ = [code[key] for key in ("kind", "system", "code", "display", "unit", "low", "high", "is_whole")]
            if not 0 < float(code["per_patient"]) < MOST or int(code["patients"]) < 1:
                raise ValueError
        _ = [kind["kind"] for kind in card["kinds"]], card["patients"]
        return
    for variable in card["variables"]:
        _ = variable["name"], dict(variable["levels"])
        if variable["kind"] not in ("number", "category", "date", "identifier", "text", "image"):
            raise ValueError
    _ = card["rows"]


def _written(card: Mapping[str, Any], out: Path, rows: int, wanted: Wanted, rng: np.random.Generator) -> list[Path]:
    found = [_bundles(card, out / "fhir", rows, rng)] if "registry" in card else [_table(card, out, rows, rng)]
    volumes = wanted.volumes or (1 if "CT" in card.get("modalities", ()) else 0)
    if volumes:
        found.append(_volumes(out / "dicom", volumes, wanted.side, rng))
    if wanted.signals:
        found.append(_signals(out / "signals.npy", wanted.signals, rng))
    return found


def _table(card: Mapping[str, Any], out: Path, rows: int, rng: np.random.Generator) -> Path:
    cells = columns(card["variables"], rows, rng)
    images = {one["name"]: one for one in card["variables"] if one["kind"] == "image"}
    if images:
        arrays = {name: np.array(column) for name, column in cells.items()}
        for name, image in images.items():
            arrays[name] = _pixels((rows, *image["shape"]), image["stored"], rng)
        path = out / "table.npz"
        np.savez(path, allow_pickle=False, **arrays)
        return path
    path = out / "table.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(cells)
        writer.writerows(zip(*cells.values()))
    return path


def _pixels(shape: tuple[int, ...], stored: str, rng: np.random.Generator) -> Any:
    if stored == "float32":
        return rng.random(shape, dtype=np.float32)
    low, high, kind = (0, 256, np.uint8) if stored == "uint8" else (-1024, 3072, np.int16)
    return rng.integers(low, high, shape, dtype=kind)


def _bundles(card: Mapping[str, Any], folder: Path, patients: int, rng: np.random.Generator) -> Path:
    folder.mkdir()
    for who, bundle in bundles(card, patients, rng):
        (folder / f"{who}.json").write_text(json.dumps(bundle, ensure_ascii=False), encoding="utf-8")
    return folder


def _volumes(folder: Path, count: int, side: int, rng: np.random.Generator) -> Path:
    for number in range(count):
        patient = f"standin-{number:06d}"
        (folder / patient).mkdir(parents=True)
        volume, _ = chest((max(side // 2, 1), side, side), int(rng.integers(0, NODULES + 1)), rng)
        for _ in write_series(folder / patient, patient, volume, rng):
            pass
    return folder


def _signals(path: Path, count: int, rng: np.random.Generator) -> Path:
    np.save(path, np.stack([electrocardiogram(SECONDS, HERTZ, LEADS, rng) for _ in range(count)]), allow_pickle=False)
    return path
