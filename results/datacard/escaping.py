"""Text of others in Markdown: whatever a sentence, a name or a command holds, it stands there as it is and does nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#!|~&$@^]|^[-+=])")


def text(words: str) -> str:
    """Returns a text for a line or a cell: on one line, what Markdown or HTML would read as markup escaped, what does not print replaced."""
    return _SPECIAL.sub(r"\\\1", one_line(words))


def one_line(words: str) -> str:
    """Returns a text without line breaks, and with U+FFFD for what does not print: escapes of terminals, marks that turn the direction of writing."""
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(words.split()))


def code(words: str) -> str:
    """Returns a text as code within a line or a cell. There a bar would end the cell even within code, so a text with a bar is escaped instead."""
    line = one_line(words)
    if not line or "|" in line:
        return text(line)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    room = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{room}{line}{room}{fence}"


def block(words: str, language: str = "") -> str:
    """Returns a text, of several lines perhaps, as a block of code that nothing in it can end."""
    lines = "\n".join(" " * (len(line) - len(line.lstrip())) + one_line(line) for line in words.splitlines())
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", lines)), default=0))
    return f"{fence}{language}\n{lines}\n{fence}"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Returns a table whose cells are Markdown already.

    Args:
      columns: Their names.
      rows: Each with as many cells as there are columns.
      right: Columns of numbers, which are flush right.
    """
    head = [" | ".join(columns), " | ".join("---:" if at in right else "---" for at in range(len(columns)))]
    return "\n".join(f"| {line} |" for line in (*head, *(" | ".join(row) for row in rows)))


def details(summary: str, inside: str) -> str:
    """Returns what is unfolded by a click; the summary is plain text."""
    escaped = one_line(summary).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<details>\n<summary>{escaped}</summary>\n\n{inside}\n\n</details>"


def picture(what: str, path: str) -> str:
    """Returns a picture, by its path relative to the page."""
    return f"![{text(what)}]({quote(path)})"


def yaml_text(words: str) -> str:
    """Returns a text as YAML takes it: a string of JSON is one of YAML."""
    return json.dumps(one_line(words), ensure_ascii=True)
