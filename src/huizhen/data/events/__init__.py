"""A site's registry: all that its sources hold, as one table of events.

`schema` says what an event is and what a source delivers, `store` keeps events in a folder of Parquet segments and lets them be
read through the DuckDB view ``events``. Only a site enters: events are patient rows.
"""
