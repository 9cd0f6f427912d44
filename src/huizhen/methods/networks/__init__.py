"""Networks by name, built for an input shape and a number of outputs; torch is imported when one is built.

The methods' own: only `huizhen.methods` enters.
"""
