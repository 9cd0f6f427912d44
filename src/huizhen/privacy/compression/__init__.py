"""Fewer bytes for the changes of a network's weights: rounding, shared support, top-k and low rank, with error feedback.

Anyone may enter. Pure functions over numpy arrays; this room knows no method, no network and no lane but by name.
"""
