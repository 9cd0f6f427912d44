"""Leaves out what belongs to another environment."""

collect_ignore = ["flower_app"]
