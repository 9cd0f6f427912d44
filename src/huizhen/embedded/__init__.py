"""A federation in one process, for the demo, for notebooks, and for `from huizhen import run`.

It is several sites in one program, so it alone, beside a site, opens patient rows; its policies judge totals, and its report says so.
"""
