"""The hub: studies are submitted, proposed, queued and kept here; it coordinates, and sees no patient's row.

Programs enter through `usecases`; one function is one wish of a person. `huizhen.cli` and the wire are thin over it.
"""
