"""What a site adds up for the agreement on a design: sums of variables, of columns, and of their products."""

from __future__ import annotations

import numpy as np

from huizhen.data.examples import CHUNK, Examples, chunks
from huizhen.methods.design.columns import Design
from huizhen.methods.design.formula import Factor
from huizhen.methods.design.piece import transformed
from huizhen.methods.method import Local
from huizhen.privacy.release import Answer, Part, Question

__all__ = ["COLUMNS", "PRODUCTS", "SQUARES", "SUMS", "column_products", "column_sums", "moment_sums"]

SUMS, SQUARES, COLUMNS, PRODUCTS = "design.sums", "design.squares", "design.columns", "design.products"


CODES = (0.0, 1.0, 2.0)  # what yes and no, or two kinds, are coded by when they are numbers


def moment_sums(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """Sums of transformed variables about the means in the question, and sums of squares."""
    factors = [Factor.from_facts(facts) for facts in question.facts["factors"]]
    means = np.asarray(question.facts["means"], dtype=np.float64)
    sums, squares = np.zeros(len(factors)), np.zeros(len(factors))
    with np.errstate(all="ignore"):
        for rows in chunks(examples.rows):
            for place, factor in enumerate(factors):
                values = transformed(factor, examples, rows) - means[place]
                sums[place] += values.sum()
                squares[place] += values @ values
    undefined = ~np.isfinite(sums)
    sums[undefined] = squares[undefined] = 0.0
    parts = {"sums": Part(sums, examples.rows), "undefined": Part(undefined.astype(np.int64), examples.rows)}
    if question.step == SQUARES:
        parts["squares"] = Part(squares, examples.rows)
    return Answer(parts, examples.rows), local


def column_sums(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """Sums of the columns; and in how many rows each is something else than 0, than 1, than 2."""
    design = Design.from_facts(question.facts["design"], local)
    sums, codes = np.zeros(len(design.columns)), _codes(design)
    unlike = np.zeros(codes.shape, dtype=np.int64)
    with np.errstate(all="ignore"):
        for rows in chunks(examples.rows):
            filled = design.matrix(examples, rows)
            sums += filled.sum(axis=1)
            for place, code in enumerate(codes):
                unlike[place] += np.count_nonzero(filled != code[:, np.newaxis], axis=1)
    undefined = ~np.isfinite(sums)
    sums[undefined] = 0.0
    parts = {
        "sums": Part(sums, examples.rows),
        "unlike": Part(unlike, examples.rows, cells=True),
        "undefined": Part(undefined.astype(np.int64), examples.rows, unit="sites"),
    }
    return Answer(parts, examples.rows), local


def _codes(design: Design) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The codes as they stand in each column, centred and scaled like it: float64 (code, column)."""
    codes = np.repeat(np.array(CODES)[:, np.newaxis], len(design.columns), axis=1)
    for column, parts in enumerate(design.parts):
        if len(parts) == 1 and (piece := design.pieces[parts[0][0]]).factor.outer in ("center", "scale"):
            codes[:, column] = (np.array(CODES) - piece.shift) / piece.divisor
    return codes


def column_products(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """Sums of products of the columns about their centres."""
    design = Design.from_facts(question.facts["design"], local)
    products = np.zeros((len(design.columns), len(design.columns)))
    buffer = np.empty((len(design.columns), min(CHUNK, examples.rows)))
    for rows in chunks(examples.rows):
        filled = design.standardised(examples, rows, out=buffer)
        products += filled @ filled.T
    return Answer({"products": Part(products, examples.rows)}, examples.rows), local
