"""Masked sums: each site's numbers are hidden by masks that cancel in the sum, and in nothing else.

Bonawitz et al., Practical Secure Aggregation for Privacy-Preserving Machine Learning, CCS 2017; Bell et al., Secure Single-Server
Aggregation with (Poly)Logarithmic Overhead, CCS 2020. Here are the parts; `federation.masked` plays the protocol with them.
"""
