"""How what a hospital has becomes events: one file, one kind of source.

A connector reads and never writes; `opening` chooses it by what `options` say of a source. Only a site enters.
"""
