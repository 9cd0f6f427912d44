"""How much is revealed: the facts of what is asked, what is answered and what is published.

Anyone may enter; this room knows no method, no policy and no engine.
"""
