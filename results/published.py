"""A published run: its header, its ledger packed, and a note of what was verified, which is bound to both by their hashes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vlagym.envs.errors import BadData
from vlagym.envs.types import EpisodeResult, from_plain, to_plain
from vlagym.results.schema import header_to_json, result_to_line
from vlagym.results.store import HEADER, PACKED_LEDGER, Store, write_whole

VERIFIED = "verified.json"


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What `vlagym publish` found of a run: the content of verified.json."""

    episodes: int
    """Of the published ledger."""
    confirmed: int
    """Those whose stored actions gave everything again that is stored of them."""
    errored: tuple[str, ...] = ()
    """Digests of those that ended in an error: nobody can confirm them."""
    measures_left_out: tuple[str, ...] = ()
    """Those that the run holds and nobody confirmed: they were not published."""
    measures_lacking: tuple[str, ...] = ()
    """Those that there are now and that the run, which is older, holds of no episode."""
    self_reported: tuple[str, ...] = ()
    """Those that were published as the run states them."""
    not_checked: tuple[str, ...] = ()
    """What no simulation can confirm, in sentences."""
    packages: Mapping[str, str] = field(default_factory=dict)
    """With which it was verified."""
    ledger_sha256: str = ""
    """Of the packed ledger's lines. It and the next one are filled in by `publish`."""
    header_sha256: str = ""

    @property
    def told(self) -> str:
        """How many episodes of how many were confirmed: "6 of 6"."""
        return f"{self.confirmed} of {self.episodes}"


def publish(run: Path, out: Path, verified: Verified | None = None) -> None:
    """Writes what of a run is published: its header, its ledger packed, one line an episode, and what was verified. Traces and videos stay behind.

    Equal runs give equal bytes.

    Args:
      run: The run folder.
      out: A new or empty folder.
      verified: What was found of the run; None publishes it as one that nobody verified.

    Raises:
      BadData: If there is no run, or the folder holds something already.
    """
    import gzip

    store = Store.open(run)
    if out.exists() and any(out.iterdir()):
        raise BadData(f"{out} exists already and holds something; publish into another folder")
    without = () if verified is None else verified.measures_left_out
    lines = "".join(f"{result_to_line(_without(result, without))}\n" for result in store.results()).encode()
    header = header_to_json(store.header).encode()
    out.mkdir(parents=True, exist_ok=True)
    if verified is not None:
        sealed = dataclasses.replace(verified, ledger_sha256=hashlib.sha256(lines).hexdigest(), header_sha256=hashlib.sha256(header).hexdigest())
        write_whole(out / VERIFIED, (json.dumps(to_plain(sealed), indent=2, ensure_ascii=False) + "\n").encode())
    write_whole(out / PACKED_LEDGER, gzip.compress(lines, compresslevel=9, mtime=0))
    # The header last: a folder that has one is complete.
    write_whole(out / HEADER, header)


def _without(result: EpisodeResult, names: Collection[str]) -> EpisodeResult:
    if not names:
        return result
    return dataclasses.replace(result, measures={name: value for name, value in result.measures.items() if name not in names})


def read_verified(folder: Path, ledger: bytes) -> Verified | None:
    """Returns what was verified of a published run; None of a run that was never published.

    Args:
      folder: Of the run.
      ledger: Its lines, unpacked.

    Raises:
      BadData: If the note cannot be read, or header or ledger are not those that were verified.
    """
    path = folder / VERIFIED
    if not path.is_file():
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadData(f"{path} cannot be read: {error}. The run counts as not verified") from error
    verified: Verified = from_plain(Verified, data, str(path))
    found = {HEADER: (folder / HEADER).read_bytes(), PACKED_LEDGER: ledger}
    stated = {HEADER: verified.header_sha256, PACKED_LEDGER: verified.ledger_sha256}
    changed = [name for name, content in found.items() if hashlib.sha256(content).hexdigest() != stated[name]]
    if changed:
        what = " and ".join(changed)
        raise BadData(f"{path} is not of this {what}, which changed after it was verified: the run counts as not verified. Publish it anew")
    return verified
