"""The digests of the demonstrations that a writer has listed: whether one is among them is known at once, however many there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload


class Digests(Sequence[str]):
    """In the order in which they were listed; equal to any sequence of the same ones. Whoever was given them sees what is added later."""

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __init__(self, digests: Iterable[str] = ()) -> None:
        self._order: list[str] = []
        self._known: set[str] = set()
        for digest in digests:
            self.add(digest)

    def add(self, digest: str) -> None:
        """Lists a digest, unless it is listed already."""
        if digest not in self._known:
            self._known.add(digest)
            self._order.append(digest)

    def __contains__(self, digest: object) -> bool:
        return digest in self._known

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[str]:
        return iter(self._order)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._order == list(other)

    def __repr__(self) -> str:
        return repr(tuple(self._order))

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: Any) -> Any:
        return self._order[index]
