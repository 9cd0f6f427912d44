"""One file, one joint method. Pure: ask, answer, fold; no file, socket or clock, and no site is known by more than its name.

Entry-point group ``huizhen.methods``: each name loads a `Method`. What several files share has a room of its own inside.
"""
