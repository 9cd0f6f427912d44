"""What a network sees of a row: covariates coded and scaled the same way everywhere, or an image.

features = yield from agree_features("averaging", covariates, "", scale="joint", terms=terms)
...
inputs = Features.from_facts(question.facts["features"]).of(examples, rows)   # at a site
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import SITE, Examples, chunks
from huizhen.errors import NotEstimable, Problem, SiteError
from huizhen.methods.design.agreement import DESIGN_STEPS, agree, agree_pieces, named
from huizhen.methods.design.columns import Design
from huizhen.methods.design.formula import Formula, parse
from huizhen.methods.method import Local, Step
from huizhen.privacy.release import Answer, Part, Question, Terms, Total

__all__ = ["FEATURES_STEPS", "Features", "Scale", "agree_features", "formula_of"]

Scale = Literal["joint", "site", "none"]
Places = NDArray[np.int64]
PLAIN_NAME = re.compile(r"[^\W\d][\w.]*")
NEVER_ZERO = 1e-9  # added to a site's own standard deviation, so that a constant column becomes zeros


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """A network's inputs.

    Attributes:
        design: the coded covariates, with joint centres and scales; None for an image.
        image: the image variable, or "".
        scale: covariates: by the ``joint`` mean and standard deviation, by those of each ``site``'s training rows, or ``none``.
            Images other than uint8 (which are read as 0 to 1): ``joint`` or ``none``.
        mean, sd: of each channel of the image, float64 (channel,).
    """

    design: Design | None
    image: str
    scale: Scale
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]

    def of(self, examples: Examples, rows: Places, fit: Places) -> NDArray[Any]:
        """Inputs of some rows: float32 (row, column), or float32 or uint8 (row, channel, *space).

        Args:
            rows: places of the rows that are wanted.
            fit: places of the rows that a site's own scale is taken from; where they are fewer than two, it is taken from all.
        """
        if self.design is None:
            return self._images(examples, rows)
        coded = _coded(self.design, examples, rows)
        if self.scale == "site":
            own, sites = _coded(self.design, examples, fit), examples.category(SITE).codes
            for site in np.unique(sites[rows]):  # one at a site; several where tables of sites stand together to compare
                here = sites[rows] == site
                coded[here] = _by_own(
                    coded[here], self._to_scale_by(own[sites[fit] == site], examples, np.flatnonzero(sites == site))
                )
        return coded

    def _to_scale_by(self, training: NDArray[np.float32], examples: Examples, whole: Places) -> NDArray[np.float32]:
        """A site's rows to train on; all that it has where there are too few, as at a site that only tests."""
        return training if len(training) > 1 or self.design is None else _coded(self.design, examples, whole)

    def _images(self, examples: Examples, rows: Places) -> NDArray[Any]:
        stored = examples.image(self.image)
        chosen: NDArray[Any] = stored if len(rows) == len(stored) else stored[rows]
        if chosen.dtype == np.uint8:
            return chosen  # scaled batch by batch, where it is used
        shape = (1, -1, *(1 for _ in chosen.shape[2:]))
        mean, sd = self.mean.reshape(shape).astype(np.float32), self.sd.reshape(shape).astype(np.float32)
        scaled: NDArray[np.float32] = chosen.astype(np.float32)
        scaled -= mean
        scaled /= sd
        return scaled

    def facts(self) -> dict[str, Any]:
        """As canonical values."""
        design = None if self.design is None else self.design.facts()
        return {"design": design, "image": self.image, "scale": self.scale, "mean": self.mean, "sd": self.sd}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Features:
        """The features behind `facts`."""
        design = None if facts["design"] is None else Design.from_facts(facts["design"])
        return cls(design, facts["image"], facts["scale"], facts["mean"], facts["sd"])


def _by_own(coded: NDArray[np.float32], own: NDArray[np.float32]) -> NDArray[np.float32]:
    if len(own) < 2:
        problem = Problem("rows", "fewer than two", "at least two", "Use scale = 'joint'")
        raise SiteError("A scale of the site's own cannot be taken.", [problem])
    exact = own.astype(np.float64)
    scaled: NDArray[np.float32] = ((coded - exact.mean(axis=0)) / (exact.std(axis=0, ddof=1) + NEVER_ZERO)).astype(np.float32)
    return scaled


def formula_of(covariates: Sequence[str]) -> Formula:
    """The covariates as a formula without outcome."""
    return parse("~ " + " + ".join(name if PLAIN_NAME.fullmatch(name) else f"`{name}`" for name in covariates))


def agree_features(
    method: str, covariates: Sequence[str], image: str, *, scale: Scale, terms: Terms
) -> Generator[Question, Total, tuple[Features, tuple[int, ...]]]:
    """The joint features, and the shape of a row's input.

    Raises:
        NotEstimable: what `huizhen.methods.design.agreement.agree` cannot agree on, or images whose shape is not known.
    """
    if image:
        return (yield from _agree_image(method, image, scale, terms))
    formula = formula_of(covariates)
    if scale == "joint":
        design = yield from agree(method, formula, terms, intercept=False, center=True)
    else:
        pieces = yield from agree_pieces(method, formula, terms)
        design = Design.of(Formula(formula.text, None, formula.terms, True), pieces, intercept=False)
    return Features(design, "", scale, np.zeros(0), np.ones(0)), (len(design.columns),)


def _agree_image(
    method: str, image: str, scale: Scale, terms: Terms
) -> Generator[Question, Total, tuple[Features, tuple[int, ...]]]:
    shape = terms.variables[image].shape if image in terms.variables else ()
    if len(shape) < 2:
        raise NotEstimable(f"the shape of image {image!r} is not known: say it in [variables.{image}] shape, e.g. [1, 28, 28]")
    features = Features(None, image, scale, np.zeros(shape[0]), np.ones(shape[0]))
    if scale != "joint":
        return features, shape
    total = yield Question(method, "pixels", {"image": image, "channels": shape[0]}, named((image,)))
    count = float(total.sums["pixels"][0])
    if count:  # none where all images are uint8
        mean = total.sums["sums"] / count
        sd = np.sqrt(np.maximum(total.sums["squares"] / count - mean**2, 0.0))
        features = replace(features, mean=mean, sd=np.where(sd > 0, sd, 1.0))
    return features, shape


def _pixels(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """Sums and sums of squares of the pixels of each channel; none of images that are read as 0 to 1."""
    stored, channels = examples.image(question.facts["image"]), question.facts["channels"]
    sums, squares, pixels = np.zeros(channels), np.zeros(channels), 0
    if stored.dtype != np.uint8:
        for rows in chunks(examples.rows, 64):
            values = stored[rows].astype(np.float64)
            over = (0, *range(2, values.ndim))
            sums, squares = sums + values.sum(axis=over), squares + (values * values).sum(axis=over)
            pixels += values[:, 0].size
    parts = {"sums": sums, "squares": squares, "pixels": np.array([pixels], np.float64)}
    return Answer({name: Part(values, examples.rows) for name, values in parts.items()}, examples.rows), local


def _coded(design: Design, examples: Examples, rows: Places) -> NDArray[np.float32]:
    found = np.empty((len(rows), len(design.columns)), np.float32)
    everything = len(rows) == examples.rows
    chosen = None if everything else np.zeros(examples.rows, bool)
    if chosen is not None:
        chosen[rows] = True  # places rise, so the order of rows is kept
    filled = 0
    for piece in chunks(examples.rows):
        coded = design.standardised(examples, piece)
        coded = coded if chosen is None else coded[:, chosen[piece]]
        found[filled : filled + coded.shape[1]] = coded.T
        filled += coded.shape[1]
    return found


FEATURES_STEPS: Mapping[str, Step] = {**DESIGN_STEPS, "pixels": _pixels}
