"""A page of results as one HTML file that contains everything it shows."""

import base64
import mimetypes
import re
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from nalm.reports.blocks import Block, Link, Picture, Section, Table
from nalm.text import visible

__all__ = ["html"]


def html(sections: Sequence[Section]) -> str:
    """Return the page; markup in labels and titles is shown as text."""
    environment = Environment(
        loader=PackageLoader("nalm.reports", "templates"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"prose": _prose, "embedded": _embedded}
    environment.tests |= {
        "table": lambda block: isinstance(block, Table),
        "picture": lambda block: isinstance(block, Picture),
        "link": lambda cell: isinstance(cell, Link),
    }
    return environment.get_template("report.html").render(sections=sections)


def _shown(value: object) -> object:
    return Markup(visible(value)) if isinstance(value, Markup) else visible(value) if isinstance(value, str) else value


def _prose(text: Block) -> Markup:
    """Return a paragraph with text between backticks as code."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def _embedded(picture: Picture) -> str:
    """Return the picture as a data address; scripts in it would not run."""
    kind, _ = mimetypes.guess_type(picture.path)
    return f"data:{kind};base64,{base64.b64encode(picture.path.read_bytes()).decode()}"
