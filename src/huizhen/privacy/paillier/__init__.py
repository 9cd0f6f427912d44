"""Packed Paillier encryption: sums of integers that the hub adds up unread, and one key holder opens.

Sites call `cipher.encrypt` with a `Pool` of obfuscators made beforehand; the hub calls `cipher.add` and holds no key; the key
holder calls `KeyHolder.open_total`. Anyone may enter; this room knows no method, no round and no network.
"""
