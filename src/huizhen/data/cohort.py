"""Which patients a study is about: conditions as a study file writes them, and the rows that meet all of them.

>>> import numpy as np
>>> from huizhen.data.examples import Categories, Examples, Numbers
>>> age, sex = Numbers(np.array([17.0, 61.0, np.nan])), Categories(np.array([0, 1, 1], np.int32), ("f", "m"))
>>> rows = Examples({"age": age, "sex": sex}, 3)
>>> choose(rows, [parse("age >= 18"), parse('sex in ["m"]')]).tolist()
[False, True, False]
>>> parse("age >= 18 and sex == 'm'").uses
{'age': 'number', 'sex': 'category'}
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from huizhen.data.condition import Condition, joint_uses
from huizhen.data.examples import Examples
from huizhen.data.grammar import parse, unparse

__all__ = ["Condition", "choose", "joint_uses", "parse", "unparse"]


def choose(examples: Examples, include: Sequence[Condition]) -> NDArray[np.bool_]:
    """The rows for which every condition is true, bool (row,); unknown, because a value is missing, is not true.

    Raises:
        DataError: a variable is not there, or is of a kind that cannot be compared so.
    """
    chosen = np.ones(examples.rows, dtype=bool)
    for condition in include:
        chosen &= condition.evaluate(examples) == 1
    return chosen
