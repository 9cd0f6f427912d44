"""Stand-ins: records that nobody has, made from a card alone, to develop studies with and to tell how long they take.

`tables` follows the card of a table, `bundles` the card of a registry; `volumes` and `signals` follow sizes. They hold the shapes,
types, missing shares and ranges that a card tells, and no relation between variables: no result on them means anything.
"""
