"""A network's weights on a site's own rows: training, prediction, and many small sites at once.

The methods' own: only `huizhen.methods` enters.
"""
