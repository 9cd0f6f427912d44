"""What Cox regression is made of: risk sets and their sums, the partial likelihood and its maximum, tests, prediction.

The methods' own: only `huizhen.methods` enters.
"""
