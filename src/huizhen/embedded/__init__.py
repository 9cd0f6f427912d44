"""A federation in one process, for the demo, for notebooks, and for `from huizhen import run`.

It is several sites in one program: it may open patient rows, as a site may; its policies judge totals, and its report says so.
"""
