"""How long bytes travel: paths over the mirrored federation, and transfers in three levels of detail behind one call.

Formulas for a transfer that is alone, weighted-fair rates for transfers that share lines, packets for few and small ones.
"""
