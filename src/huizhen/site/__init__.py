"""A site: its configuration, its inbox of suggestions, its decisions; and what answers for it.

The hub can never configure a site: what runs here is installed here and enabled by name in the site's own configuration.
"""
