"""Whether rows are fit for a study: declared rules, duplicates, outliers, missing values; pure functions over columns.

`rules` says what can be declared, `judging` judges a table by it, `duplicates` finds rows that may be one, `missing` what is not
there, `report` keeps counts and says which of them may leave a site.
"""
