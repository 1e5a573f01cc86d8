"""A card in TOML: what stands beside a checkpoint that does not say itself what it reads and sends."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from vlagym.envs.errors import BadData
from vlagym.envs.types import from_plain

Card = TypeVar("Card")


def read_card(kind: type[Card], path: Path, *, hint: str) -> Card:
    """Reads a card.

    Args:
      kind: The frozen dataclass that it fills.
      path: The file.
      hint: What the error says to do where there is none.

    Raises:
      BadData: If it is absent, no TOML, lacks a key, or has one that is unknown or of another type.
    """
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadData(f"there is no card {path}. {hint}") from error
    except OSError as error:
        raise BadData(f"the card {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadData(f"the card {path} is not TOML: {error}") from error
    return from_plain(kind, table, str(path))


def beside(card: Path, profile: str) -> str:
    """Returns a profile's name as it stands, and a file's relative to the card that names it."""
    return str(card.parent / profile) if profile.endswith(".toml") else profile
