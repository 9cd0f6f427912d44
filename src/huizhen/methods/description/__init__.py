"""What is counted and summed to describe patients: levels, moments, brackets of quantiles, and tests of tables.

The methods' own: only `huizhen.methods` enters.
"""
