"""Mathematics as MathML, by docutils' own translator: formulas are read by every browser and need no script."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.util import logging

LOG = logging.getLogger(__name__)


def inline(self: Any, node: nodes.Element) -> None:
    self.body.append(_mathml(node))
    raise nodes.SkipNode


def block(self: Any, node: nodes.Element) -> None:
    self.body.append(f'<div class="math">{_mathml(node, as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _mathml(node: nodes.Element, **how: bool) -> str:
    try:
        return str(latex2mathml.tex2mathml(node.astext(), **how))
    except MathError as error:
        LOG.warning("a formula cannot be shown: %s", error, location=node)
        return ""
