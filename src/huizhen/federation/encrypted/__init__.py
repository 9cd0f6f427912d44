"""Encrypted sums as a scheme: the hub adds what it cannot read, and a key holder, one of the sites, opens the total.

In the first round of an *epoch* the key holder makes a Paillier key and signs it, all sites advertise keys (`advertise`), and each
shares seal secrets with the key holder in sealed boxes (`entrust`). Every round then has three stages: `encrypt` (the answer,
encrypted and sealed), `confirm` (each site signs the list of those whose answers are in) and `open` (the key holder opens the total
of exactly those). A loss ends the epoch, and the next round begins a new one with the same Paillier key.
"""
