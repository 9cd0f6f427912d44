"""Masked sums as a scheme: the hub learns the sum of the answers, and of no answer more than that.

Keys are made for an *epoch* of some rounds: in its first round they are advertised (signed, `advertise`) and secrets are dealt in
shares (`share`). Every round then has three stages: `mask` (the masked answer), `confirm` (each site signs the list of those who
stayed) and `unmask` (each helps to remove what did not cancel). A loss ends the epoch, and the next round begins a new one.
"""
