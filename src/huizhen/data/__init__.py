"""What a hospital holds: tables of examples, cards that describe them, cohort expressions that choose among them.

`records` alone opens sources, and only a site (or the embedded federation) may call it; the other files receive tables.
"""
