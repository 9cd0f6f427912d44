"""The validation lab: the installed programs between shaped lines, measured, and every forecast beside what came.

A plan names sites, lines, quotas and studies; `running.run_lab` builds the federation, runs every configuration and judges. The lab
knows no program from within: it starts them as processes (`processes`) and reads what they write.
"""
