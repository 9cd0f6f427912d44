"""Cohorts over a registry's events: criteria as declarations, checked whole, compiled to SQL over the view ``events``.

`rules` says what may be declared, `declarations` checks it whole, `reading` reads a file, `codes` follows terminologies downwards,
`compiled` writes the SQL, `attrition` judges what of the counts may be seen, `sketch` finds cohorts that differ by few patients. No
file of a registry is opened here.
"""
