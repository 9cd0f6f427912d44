"""What a site adds up for the agreement on a design: sums of variables, of columns, and of their products."""

from __future__ import annotations

import numpy as np

from huizhen.data.examples import CHUNK, Examples, chunks
from huizhen.methods.design.columns import Design
from huizhen.methods.design.formula import Factor
from huizhen.methods.design.piece import transformed
from huizhen.methods.method import Local
from huizhen.privacy.release import Answer, Part, Question

__all__ = ["COLUMNS", "PRODUCTS", "SQUARES", "SUMS", "column_products", "column_sums", "counted_columns", "moment_sums"]

SUMS, SQUARES, COLUMNS, PRODUCTS = "design.sums", "design.squares", "design.columns", "design.products"


def counted_columns(design: Design) -> list[int]:
    """Columns whose rows unlike 0 are counted: those of categories, and bare variables, which may be 0/1."""
    bare = [len(parts) == 1 and not design.pieces[parts[0][0]].factor.calls for parts in design.parts]
    mixed = [any(design.pieces[piece].levels for piece, _ in parts) for parts in design.parts]
    return [column for column in range(len(design.columns)) if bare[column] or mixed[column]]


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
    """Sums of the columns; for those that may be indicators, how many rows they hold for."""
    design = Design.from_facts(question.facts["design"], local)
    counted = counted_columns(design)
    sums, ones = np.zeros(len(design.columns)), np.zeros(len(counted), dtype=np.int64)
    not_binary = np.zeros(len(counted), dtype=np.int64)
    may_be_measured = {
        place: column for place, column in enumerate(counted) if not any(design.pieces[p].levels for p, _ in design.parts[column])
    }
    with np.errstate(all="ignore"):
        for rows in chunks(examples.rows):
            filled = design.matrix(examples, rows)
            sums += filled.sum(axis=1)
            for place, column in may_be_measured.items():
                if not not_binary[place]:
                    not_binary[place] = not np.all((filled[column] == 0) | (filled[column] == 1))
            for place, column in enumerate(counted):
                ones[place] += 0 if not_binary[place] else np.count_nonzero(filled[column])
    ones[not_binary > 0] = 0
    undefined = ~np.isfinite(sums)
    sums[undefined] = 0.0
    parts = {
        "sums": Part(sums, examples.rows),
        "ones": Part(ones, examples.rows, cells=True),
        "not_binary": Part(not_binary, examples.rows, unit="sites"),
        "undefined": Part(undefined.astype(np.int64), examples.rows, unit="sites"),
    }
    return Answer(parts, examples.rows), local


def column_products(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """Sums of products of the columns about their centres."""
    design = Design.from_facts(question.facts["design"], local)
    products = np.zeros((len(design.columns), len(design.columns)))
    buffer = np.empty((len(design.columns), min(CHUNK, examples.rows)))
    for rows in chunks(examples.rows):
        filled = design.standardised(examples, rows, out=buffer)
        products += filled @ filled.T
    return Answer({"products": Part(products, examples.rows)}, examples.rows), local
