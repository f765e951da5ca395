"""SVG files inside an HTML page."""

from __future__ import annotations

import re
from html import escape

# matplotlib numbers ids within one file (figure_1, axes_1, ...); two files in one page would share them.
_IDENTIFIER = re.compile(r'(?P<before>\bid="|href="#|url\(#)')


def inline(svg: str, *, name: str, description: str) -> str:
    """An SVG document as an element: no prolog, ids made unique by `name`, a `description` to read out."""
    element = _IDENTIFIER.sub(lambda match: f"{match['before']}{name}-", svg[svg.index("<svg") :])
    return element.replace("<svg ", f'<svg role="img" aria-label="{escape(description)}" ', 1)
