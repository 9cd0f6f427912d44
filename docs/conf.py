"""How the documentation becomes pages: MyST Markdown by Sphinx, mathematics as MathML, nothing fetched from anywhere."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_theme"))

project = "Huizhen"
author = "the Huizhen contributors"
version = release = installed_version("huizhen")
extensions = ["myst_parser", "mathml"]
myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_theme"]
nitpicky = True

html_theme = "furo"
html_title = "Huizhen 会诊"
html_math_renderer = "mathml"
html_static_path = ["_theme/static"]
html_css_files = ["huizhen.css"]
html_copy_source = False
html_show_sphinx = False
