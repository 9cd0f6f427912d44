"""What generalised linear models are made of: families, scoring over sums, proofs of separation, tests, prediction.

The methods' own: only `huizhen.methods` enters.
"""
