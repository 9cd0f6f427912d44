"""Tables for tests: a pandas DataFrame as a hospital's rows, or as the rows of several."""

from __future__ import annotations

import numpy as np
import pandas as pd

from huizhen.data.examples import Categories, Examples, Numbers


def hospital(frame):
    columns = {}
    for name in frame:
        if pd.api.types.is_numeric_dtype(frame[name]):
            columns[name] = Numbers(frame[name].to_numpy(float))
        else:
            codes, levels = pd.factorize(frame[name], sort=True)
            columns[name] = Categories(codes.astype(np.int32), tuple(map(str, levels)))
    return Examples(columns, len(frame))


def shares(frame, parts):
    """One table for each site; every row knows its site."""
    named = frame.assign(site=[f"s{part}" for part in parts])
    return {site: hospital(rows) for site, rows in named.groupby("site")}


def by_site(frame):
    """One table for each site, as the column ``site`` says."""
    return {site: hospital(rows) for site, rows in frame.groupby("site", sort=True)}
