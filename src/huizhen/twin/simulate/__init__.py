"""A study under virtual time: rehearsed once on stand-ins with the real rounds, gates and protections, then played many times.

Whoever wants a forecast enters by `rehearsal.rehearse` and `play.play`; models of seconds are handed in (`models`).
"""
