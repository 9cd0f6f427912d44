"""How a study runs: the study as data, rounds as rules, engines that carry them.

Programs enter through `conduct`; an engine implements `engine.Engine` and passes the contract suite.
"""
