"""The wire between hospitals: identities, subjects, certificates and the connection to NATS, which is imported here alone.

`nkeys`, `tokens`, `subjects`, `certificates` and `invitations` are rules over values; `access` connects.
"""
