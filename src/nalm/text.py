r"""Text for each kind of output: terminal, JSON, CSV, Markdown, and pages and figures.

Labels, titles, names of files and messages of errors come from other people's files, so they may hold anything. Text is
kept as it is everywhere inside nalm, and goes out through one of these functions.

>>> visible("\x1b]0;title\a")
'\\x1b]0;title\\x07'
"""

import re
from typing import Any

__all__ = ["csv_cell", "csv_table", "json_text", "markdown", "markdown_cell", "one_line", "visible"]

NONCHARACTERS = "\ufdd0-\ufdef" + "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(17))
UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, which command terminals and are no XML
    "\u2028\u2029"  # line ends that few expect
    "\u202a-\u202e\u2066-\u2069"  # these reverse the text around them
    "\ud800-\udfff" + NONCHARACTERS + "]"
)
FORMULAS = ("=", "+", "-", "@", "\t", "\n", "＝", "＋", "－", "＠")
"""Starts of cells that spreadsheets calculate."""


def visible(text: str) -> str:
    r"""Return text with a backslash escape for each character that would not be shown; lines and tabs stay."""
    return UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)


def one_line(text: str) -> str:
    r"""Return text with a backslash escape for each character that would not be shown, or would end the line.

    >>> one_line("two\nlines")
    'two\\nlines'
    """
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def json_text(text: str) -> str:
    r"""Return JSON with its own escapes for characters that would not be shown; it means the same.

    >>> json_text('"\x9b"')
    '"\\u009b"'
    """
    return UNSAFE.sub(lambda found: _json_escape(ord(found[0])), text)


def _json_escape(code: int) -> str:
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


def csv_cell(value: Any) -> Any:
    """Return a cell of a CSV file. An apostrophe comes before text that a spreadsheet would calculate.

    >>> csv_cell("=1+1"), csv_cell("-1.5"), csv_cell(-1.5)
    ("'=1+1", '-1.5', -1.5)
    """
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if text.startswith(FORMULAS) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def csv_table(table: Any) -> Any:
    """Return a data frame whose texts are cells of a CSV file."""
    texts = [name for name in table.columns if table[name].dtype.kind in "OTU"]
    shown = table.assign(**{name: table[name].map(csv_cell, na_action="ignore") for name in texts})
    return shown.rename(columns=csv_cell)


def markdown(text: str) -> str:
    r"""Return a line of Markdown that shows text as it is, but text between backticks as code.

    >>> markdown("`x<y`: <b>a</b>")
    '`x<y`: &lt;b>a&lt;/b>'
    """
    # A backtick beside another one belongs to code that starts with several, which we never write.
    parts = re.split(r"((?<!`)`(?!`)[^`]+(?<!`)`(?!`))", one_line(text))
    return "".join(part if index % 2 else _markup(part) for index, part in enumerate(parts))


def _markup(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"\](?=[(\[:])", r"\\]", escaped)


def markdown_cell(text: str) -> str:
    r"""Return a cell of a table in Markdown.

    >>> markdown_cell("a|b\n<script>")
    'a\\|b\\\\n&lt;script>'
    """
    return markdown(text).replace("|", "\\|")
