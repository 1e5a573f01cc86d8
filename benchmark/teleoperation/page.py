"""The player's page: one text that asks for nothing else, and the headers that forbid it to."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import NamedTuple

_FOLDER = Path(__file__).parent


class Page(NamedTuple):
    """What is answered to whoever opens the page."""

    text: str
    headers: tuple[tuple[str, str], ...]


def page() -> Page:
    """Returns the page, its style and its script in it."""
    style, script = ((_FOLDER / name).read_text(encoding="utf-8") for name in ("play.css", "play.js"))
    text = (_FOLDER / "play.html").read_text(encoding="utf-8")
    text = text.replace("/* play.css */", style, 1).replace("/* play.js */", script, 1)
    policy = [
        "default-src 'none'",
        f"style-src '{_digest(style)}'",
        f"script-src '{_digest(script)}'",
        "connect-src 'self'",
        "img-src 'self' blob: data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    headers = (
        ("Content-Security-Policy", "; ".join(policy)),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cache-Control", "no-store"),
    )
    return Page(text, headers)


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
