"""A forecast of a study: rehearsed on stand-ins from cards, played many times, and told as one fact with what it relies on.

Whoever wants one enters by `foreseeing.foresee`; what came of a run is laid beside it in `huizhen.twin.shadow`.
"""
