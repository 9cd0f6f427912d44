"""How asks and answers cross a network: one message format, requests that may be repeated, large messages pulled in pieces.

NATS is spoken here and nowhere else (ADR 13).
"""
