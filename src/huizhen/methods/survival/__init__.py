"""What every survival method stands on: follow-up, the joint grid of times, groups, curves and their comparison.

The methods' own: only `huizhen.methods` enters.
"""
