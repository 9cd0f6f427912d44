"""Inputs and outcome as the study's file declares them: for studies in which no exact sum may be asked of the rows.

Where noise hides a patient, or a site's privacy budget lets nothing exact out, levels are the declared ones, and numbers come to a
common scale by their declared ranges: middle and a quarter of the width, which is one standard deviation where the range holds two
on either side. A range is a public fact, so nothing is spent on it.

features, shape = declared_features(covariates, "", scale="joint", terms=terms)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from huizhen.errors import NotEstimable, Problem
from huizhen.methods.design.columns import Design
from huizhen.methods.design.formula import Factor, Formula
from huizhen.methods.design.labels import declared_labels
from huizhen.methods.design.piece import Piece
from huizhen.methods.scores.aim import Aim
from huizhen.methods.training.features import Features, Scale, formula_of
from huizhen.privacy.release import Terms, Variable

__all__ = ["declared_features", "declared_scale", "undeclared", "without_range"]


def declared_features(covariates: Sequence[str], image: str, *, scale: Scale, terms: Terms) -> tuple[Features, tuple[int, ...]]:
    """The features, and the shape of a row's input; no question is asked. `undeclared` must have found nothing.

    Args:
        scale: ``joint``: by declared ranges; numbers without one stay as they are.

    Raises:
        NotEstimable: an image whose shape is not declared, or a category with fewer than two levels.
    """
    if image:
        shape = terms.variables[image].shape if image in terms.variables else ()
        if len(shape) < 2:
            raise NotEstimable(f"the shape of image {image!r} is not known: say it in [variables.{image}] shape, e.g. [1, 28, 28]")
        return Features(None, image, scale, np.zeros(shape[0]), np.ones(shape[0])), shape
    formula = formula_of(covariates)
    pieces = [_piece(factor, terms) for factor in formula.factors]
    design = Design.of(Formula(formula.text, None, formula.terms, True), pieces, intercept=False)
    if not design.columns:
        raise NotEstimable("The formula has no column to fit; name at least one variable after the ~")
    if scale == "joint":
        ranges = [_range(column, terms.variables) for column in design.columns]
        middles, widths = (np.array([each[place] for each in ranges]) for place in (0, 1))
        design = design.standardised_by(middles, widths, 0)
    return Features(design, "", "none" if scale == "joint" else scale, np.zeros(0), np.ones(0)), (len(design.columns),)


def declared_scale(aim: Aim, variables: Mapping[str, Variable]) -> Aim:
    """The aim of a regression on the scale of the outcome's declared range."""
    middle, width = _range(aim.outcome[0], variables)
    return replace(aim, center=middle, shift=middle, scale=width)


def undeclared(
    covariates: Sequence[str], labels: Sequence[str], numbers: Sequence[str], variables: Mapping[str, Variable]
) -> list[Problem]:
    """What only rows could tell of the inputs and the outcome.

    Args:
        labels: names of outcomes that are categories; numbers: of outcomes that are numbers.
    """
    problems = []
    inputs = [use.name for use in formula_of(covariates).uses()] if covariates else []
    for name in dict.fromkeys((*labels, *inputs)):
        if name not in variables or not (variables[name].levels or (name in inputs and variables[name].kind == "number")):
            remedy = f"Say type = 'number', or type = 'category' and levels, in [variables.{name}]"
            problems.append(Problem(name, "a variable that the sites would have to agree on", "a declared variable", remedy))
    return [*problems, *without_range(numbers, variables)]


def without_range(names: Sequence[str], variables: Mapping[str, Variable]) -> list[Problem]:
    """Numbers that have no declared range to be scaled by."""
    return [
        Problem(name, "a number whose scale only rows would tell", "a range", f"Declare a range in [variables.{name}]")
        for name in names
        if name not in variables or (variables[name].kind == "number" and variables[name].range is None)
    ]


def _piece(factor: Factor, terms: Terms) -> Piece:
    variable = terms.variables.get(factor.variable)
    is_category = variable is not None and variable.kind == "category"
    if not is_category:
        return Piece(factor)
    levels = declared_labels(factor, terms)
    if len(levels) < 2:
        raise NotEstimable(
            f"{factor.variable}: fewer than two levels are declared, so it explains nothing; declare them, or leave it out"
        )
    return Piece(factor, levels)


def _range(name: str, variables: Mapping[str, Variable]) -> tuple[float, float]:
    """Middle and a quarter of the width; 0 and 1 of what has no range."""
    bounds = variables[name].range if name in variables else None
    return (0.0, 1.0) if bounds is None else ((bounds[0] + bounds[1]) / 2, (bounds[1] - bounds[0]) / 4)
