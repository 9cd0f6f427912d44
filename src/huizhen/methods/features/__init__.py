"""Features: what a study makes of its variables before its methods see them; fitted jointly, and the same at every site.

`declared` reads a study's declarations, `fitting` finds what they need to know of all rows, `coding` makes the columns at a site,
and `featured` lets any method see them as if they were variables.
"""
