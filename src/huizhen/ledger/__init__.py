"""An append-only chain of signed facts. Anyone may write facts into it; it knows no domain and holds no patient's value.

`chain` says what an entry is and when a chain is sound (pure), `store` keeps entries, `keys` keeps the key that signs them.
"""
