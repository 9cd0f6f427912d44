"""The mirrored federation: a study plays under virtual time before it runs, and every real run teaches the next forecast.

Words and parts follow ITU-T Y.3090 (digital twin network: data, models, mapping) and the IETF NMRG's architecture.
"""
