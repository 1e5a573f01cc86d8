"""The sizes of a minivla network: a value that a card stores and that builds the same network again."""

from __future__ import annotations

from dataclasses import dataclass

from vlagym.envs.errors import BadData
from vlagym.envs.types import ImageComponent

POSITION_UNIT_M = 0.1
"""Positions are said and learned in this unit, around the mean of the training data."""


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """The sentence encoder. It has no vocabulary: words and their parts fall into buckets by their hash."""

    word_buckets: int = 4096
    """Rows of the embedding of whole words; row 0 is padding."""
    gram_buckets: int = 4096
    """Rows of the embedding of parts of words; row 0 is padding."""
    gram_min: int = 3
    gram_max: int = 5
    """Shortest and longest part of a word, in characters, its two boundary marks included."""
    width: int = 64
    layers: int = 2
    heads: int = 4
    poolings: int = 3
    """Learned queries that read the sentence; its summary is `poolings * width` numbers."""

    @property
    def summary_size(self) -> int:
        return self.poolings * self.width


@dataclass(frozen=True, kw_only=True)
class TowerConfig:
    """The encoder of one camera."""

    camera: str
    size: int
    """Width and height of the square image that it reads, in pixels; a multiple of 8."""
    crop: int
    """Centre crop of the rendered image, in pixels, before it is shrunk to `size`."""
    channels: tuple[int, int, int]
    """At a half, a quarter and an eighth of the resolution."""
    map_channels: int
    """Of the map at a quarter of the resolution, on which the words point at things."""
    keypoints: int
    """Points that the tower may find by itself."""

    @property
    def map_size(self) -> int:
        return self.size // 4

    @property
    def image(self) -> ImageComponent:
        """The image that it declares to read."""
        return ImageComponent(name=self.camera, width=self.size, height=self.size, crop=self.crop)


@dataclass(frozen=True, kw_only=True)
class MiniVlaConfig:
    """A whole network."""

    front: TowerConfig = TowerConfig(camera="front", size=96, crop=192, channels=(24, 48, 96), map_channels=64, keypoints=12)
    """The camera that stands still: it alone locates the things that the sentence means."""
    wrist: TowerConfig = TowerConfig(camera="wrist", size=64, crop=256, channels=(16, 32, 64), map_channels=48, keypoints=8)
    text: TextConfig = TextConfig()
    proprio_size: int = 17
    """See `proprio.features`."""
    motion_size: int = 6
    """Translation and rotation; the gripper comes after them."""
    trunk_width: int = 512
    trunk_layers: int = 3
    chunk_steps: int = 16
    """Actions that it predicts at once."""
    execute_steps: int = 8
    """How many of them are executed. Too few, and the arm hovers for ever at the point of release."""

    @property
    def action_size(self) -> int:
        return self.motion_size + 1

    def check(self) -> None:
        """Raises BadData unless the sizes fit together."""
        for tower in (self.front, self.wrist):
            if tower.size <= 0 or tower.size % 8:
                raise BadData(f"the tower of camera {tower.camera!r} reads images of {tower.size} pixels; it must be a multiple of 8")
        if self.text.width % self.text.heads:
            raise BadData(f"a text width of {self.text.width} does not divide into {self.text.heads} heads")
        if not 1 <= self.text.gram_min <= self.text.gram_max:
            raise BadData(f"parts of words from {self.text.gram_min} to {self.text.gram_max} characters: none")
        if not 1 <= self.execute_steps <= self.chunk_steps:
            raise BadData(f"{self.execute_steps} of {self.chunk_steps} predicted actions cannot be executed")
