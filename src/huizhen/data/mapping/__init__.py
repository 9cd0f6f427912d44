"""How the events of a site's registry become the variables of studies, one row for each patient or each index event.

`dictionary` says what the variables are, the same at all sites; `mapfile` how one site's events become them; `compiling` makes one
SQL statement of both; `source` reads its rows. What is doubtful is left out and reported, never guessed. Only a site enters.
"""
