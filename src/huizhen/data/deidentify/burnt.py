"""Whether words may be burnt into an image: what its header says, which kinds of images often have some, how its border looks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["border_has_text", "burnt_in"]

# Kinds that are photographed from a screen, drawn by a machine, or scanned (PS3.3 C.7.3.1.1.1).
OFTEN = frozenset(("US", "IVUS", "ES", "XC", "OT", "SC", "DOC", "SM", "GM", "ECG", "HC", "IO", "OP", "RF", "XA", "DG", "SR"))
CAPTURED = "1.2.840.10008.5.1.4.1.1.7"  # Secondary Capture, and what begins with it
DOCUMENTS = "1.2.840.10008.5.1.4.1.1.104."  # encapsulated PDF, CDA, ...
BORDER = 0.15  # of the height and of the width
SHARPEST = 0.6  # of the range of grey between neighbours: the edge of a letter
SHARE = 0.004  # of a border's neighbours that are so sharp; noise and anatomy have fewer
ROWS = 6  # a letter is at least that high


def burnt_in(dataset: Any) -> str:
    """Why words may be burnt in; "" where nothing says so."""
    if str(dataset.get("BurnedInAnnotation", "")).upper() == "YES":
        return "the header says so"
    if str(dataset.get("RecognizableVisualFeatures", "")).upper() == "YES":
        return "a face may be recognised"
    uid = str(dataset.get("SOPClassUID", ""))
    if uid.startswith(DOCUMENTS):
        return "a document"
    if str(dataset.get("BurnedInAnnotation", "")).upper() == "NO":
        return ""
    if uid == CAPTURED or uid.startswith(CAPTURED + "."):
        return "a secondary capture"
    words = [str(word).upper() for word in dataset.get("ImageType", None) or ()]
    if any("SCREEN" in word or "SCREENSHOT" in word for word in words):
        return "a picture of a screen"
    return "a kind of image that often has words" if str(dataset.get("Modality", "")) in OFTEN else ""


def border_has_text(pixels: NDArray[Any]) -> bool:
    """Whether a border of a grey image, (row, column), has edges as sharp and as many as letters have.

    A doubt, no proof: letters over anatomy in the middle are not looked for.
    """
    if pixels.ndim != 2 or min(pixels.shape) < 32:
        return False
    values = pixels.astype(np.float32)
    low, high = np.percentile(values, (1, 99.9))
    top = float(values.max())
    if top <= low:
        return False
    high_edge = max(top, float(high)) - float(low)
    rows, columns = (max(ROWS, int(BORDER * size)) for size in values.shape)
    strips = (values[:rows], values[-rows:], values[:, :columns], values[:, -columns:])
    return any(_letters(strip, SHARPEST * high_edge) for strip in strips)


def _letters(strip: NDArray[Any], sharp: float) -> bool:
    edges = np.abs(np.diff(strip, axis=1)) >= sharp
    busy = int((edges.sum(axis=1) >= 4).sum())  # rows with the strokes of two letters or more
    return busy >= ROWS and float(edges.mean()) >= SHARE
