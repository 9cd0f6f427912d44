"""From a formula's text to a design matrix that means the same at every site, and from its coefficients to Wald tests.

The methods' own: only `huizhen.methods` enters.
"""
