"""The command line: what a person types, and what she reads back, in English or Chinese."""

from huizhen.cli.app import main

__all__ = ["main"]
