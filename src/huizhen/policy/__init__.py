"""How much may be revealed: what a site lets out (disclosure, gate) and what of a joint result is published (publication).

Whatever leaves a site passes `gate.Gate`, on any engine. The rules are pure; they know answers, not methods or patients.
"""
