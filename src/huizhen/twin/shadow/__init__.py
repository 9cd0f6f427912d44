"""The shadow of every run: what was forecast beside what came, what is learnt from it, and when to trust less."""
