"""A study as a page that a person reads: one HTML file, all inside, in Chinese and English."""
