"""The program at a hospital: its agent holds keys, gate, ledger and the connection; its workers hold the rows.

Nobody but the command line and what assembles programs may enter.
"""
