"""A page of results as one HTML file that holds everything it shows."""

import base64
import mimetypes
import re
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from nalm.reports.contents import Block, Link, Picture, Section, Table

__all__ = ["html"]


def html(sections: Sequence[Section]) -> str:
    """The page; whatever stands in labels and titles stays text."""
    environment = Environment(
        loader=PackageLoader("nalm.reports", "templates"),
        autoescape=True,
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


def _prose(text: Block) -> Markup:
    """A sentence, in which what is between backticks is code."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def _embedded(picture: Picture) -> str:
    """The picture as an address that holds it; scripts in it would not run."""
    kind, _ = mimetypes.guess_type(picture.path)
    return f"data:{kind};base64,{base64.b64encode(picture.path.read_bytes()).decode()}"
