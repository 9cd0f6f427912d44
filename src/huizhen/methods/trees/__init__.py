"""What boosting is made of: joint bins, histograms of gradients, splits, forests and their export.

The methods' own: only `huizhen.methods` enters.
"""
