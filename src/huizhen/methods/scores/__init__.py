"""What is predicted and how well: aims, and quality measures that are sums over sites.

The methods' own: only `huizhen.methods` enters.
"""
