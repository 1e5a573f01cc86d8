"""Camera images as H.264 in an mp4: encoded once, joined and cut out without being encoded again, and read from any frame on.

    libx264, yuv420p, preset ultrafast, crf 18, a key frame every second frame, no B-frames, one thread

Every second frame is a key frame because training reads single frames at random. Frame i of a file has the time i / fps exactly.

Measured on 1200 images of 256 x 256, of place_on, stack and open_drawer, by two cameras: one colour for each 2 x 2 pixels leaves a PSNR of
37.7 dB, whatever the codec does. At ultrafast it is 37.3 dB, and an image takes 5.6 kB, 0.35 ms to encode and 0.18 ms to decode. At veryfast, which
saves where an eye does not see it, it is 36.3 dB, 3.4 kB, 0.86 ms and 0.39 ms.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, MissingPackage
from vlagym.results.demonstration import DatasetInfo

CODEC, PIXEL_FORMAT = "h264", "yuv420p"
_ENCODER = "libx264"
_OPTIONS = {"preset": "ultrafast", "crf": "18", "g": "2", "bf": "0", "threads": "1"}
_AREA = "AREA"
"""How colours are thinned out: the mean of four pixels. PyAV's default weighs them otherwise, and is 0.3 dB worse at the same speed."""
_THREADS_SINCE = 17
"""PyAV's first version whose conversions take a number of threads; of its own accord it starts one for each core, which costs more than it gains."""


class Clip(NamedTuple):
    """Some frames of a video, one after the other."""

    file: Path
    start_s: float
    """Time of the first one within the file."""
    num_frames: int
    fps: float


class Films(Mapping[str, NDArray[np.uint8]]):
    """Camera -> images, of which it is known where they lie encoded."""

    def __init__(self, images: Mapping[str, NDArray[np.uint8]], clips: Mapping[str, Clip]) -> None:
        self._images, self.clips = images, clips

    def __getitem__(self, camera: str) -> NDArray[np.uint8]:
        return self._images[camera]

    def __contains__(self, camera: object) -> bool:
        return camera in self._images  # a mapping's own would read the images

    def __iter__(self) -> Iterator[str]:
        return iter(self._images)

    def __len__(self) -> int:
        return len(self._images)


def clips_of(images: Mapping[str, NDArray[np.uint8]]) -> Mapping[str, Clip]:
    """Returns where the images of each camera lie encoded, as far as that is known."""
    return images.clips if isinstance(images, Films) else {}


def check_sizes(info: DatasetInfo, format_name: str) -> None:
    """Raises BadData unless all images have the even sides that H.264 with yuv420p wants: it stores one colour for each 2 x 2 pixels."""
    for camera, how in info.images.items():
        height, width, _ = how.shape
        if height % 2 or width % 2:
            raise BadData(
                f"{format_name} stores video, whose sides are even numbers of pixels; the images of {camera!r} are {width} x {height}. "
                f"Choose {width + width % 2} x {height + height % 2}, or a format that stores single images"
            )


def encode(at: Path, images: NDArray[np.uint8], fps: int) -> None:
    """Writes a video of `(T, h, w, 3)` images.

    Raises:
      BadData: If there is no encoder for H.264, or it refuses the images.
      OSError: If the disk is full.
      MissingPackage: Without PyAV.
    """
    av = pyav()
    _, height, width, _ = images.shape
    thinned = _conversion(av, PIXEL_FORMAT, interpolation=_AREA)
    with _coding(at, "written"), av.open(str(at), "w", format="mp4") as container:
        stream = container.add_stream(_ENCODER, rate=fps, options=_OPTIONS)
        stream.width, stream.height, stream.pix_fmt = width, height, PIXEL_FORMAT
        for index, image in enumerate(images):
            frame = thinned(av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(image), format="rgb24"))
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def can_join(first: Path, second: Path) -> bool:
    """Returns whether two videos were encoded with equal parameters, so that the frames of one may follow those of the other in one file."""
    return _parameters(first) == _parameters(second)


def join(at: Path, sources: Sequence[Path], fps: int) -> None:
    """Writes the frames of several videos back to back, without encoding them again.

    Raises:
      BadData: If a source is damaged.
      OSError: If the disk is full.
    """
    av = pyav()
    with _coding(at, "joined"), av.open(str(at), "w", format="mp4") as container:
        target: Any = None
        written = 0
        for source in sources:
            with av.open(str(source)) as video:
                stream = video.streams.video[0]
                if target is None:
                    target = container.add_stream_from_template(stream)
                for packet in video.demux(stream):
                    if not packet.size:  # the end
                        continue
                    _mux(container, target, packet, written, fps)
                    written += 1


def can_copy(clip: Clip, shape: tuple[int, int, int], fps: int) -> bool:
    """Returns whether a clip is what `encode` would write of its images, so that it can be cut out and joined as it is.

    It is H.264 of this size and rate, begins with a key frame, and has no frame that is shown in another order than it is stored in.

    Args:
      clip: Some frames of a video.
      shape: Height, width, 3.
      fps: Wanted.

    Raises:
      BadData: If the video is damaged.
    """
    with _coding(clip.file, "read"), pyav().open(str(clip.file)) as video:
        context = video.streams.video[0].codec_context
        is_same = (context.name, context.pix_fmt, context.height, context.width, 3) == (CODEC, PIXEL_FORMAT, *shape)
        return is_same and clip.fps == fps and bool(_packets(video, clip))


def copy(at: Path, clip: Clip, fps: int) -> None:
    """Writes a clip into a video of its own, without encoding it again.

    Raises:
      BadData: If it is none that can be copied.
      OSError: If the disk is full.
    """
    av = pyav()
    with _coding(clip.file, "copied"), av.open(str(clip.file)) as video, av.open(str(at), "w", format="mp4") as container:
        packets = _packets(video, clip)
        if not packets:
            raise BadData(f"{clip.file} holds no {clip.num_frames} frames from {clip.start_s:g} s on that could be cut out: it was changed")
        target = container.add_stream_from_template(video.streams.video[0])
        for number, packet in enumerate(packets):
            _mux(container, target, packet, number, fps)


def _packets(video: Any, clip: Clip) -> list[Any]:
    """Returns the frames of a clip as they are stored; none where they cannot be taken out as they are."""
    stream = video.streams.video[0]
    found: list[Any] = []
    video.seek(round(clip.start_s / stream.time_base), stream=stream, backward=True)
    for packet in video.demux(stream):
        if not packet.size:  # the end
            continue
        number = round((float(packet.pts * packet.time_base) - clip.start_s) * clip.fps)
        if number < 0:
            continue
        if number >= clip.num_frames:
            break
        if number != len(found) or packet.dts != packet.pts or not (found or packet.is_keyframe):
            return []
        found.append(packet)
    return found if len(found) == clip.num_frames else []


def _mux(container: Any, target: Any, packet: Any, number: int, fps: int) -> None:
    packet.pts = packet.dts = number
    packet.duration, packet.time_base = 1, Fraction(1, fps)
    packet.stream = target
    container.mux(packet)


def num_frames(at: Path) -> int:
    """Returns how many frames a video says it has.

    Raises:
      BadData: If it is damaged.
    """
    with _coding(at, "read"), pyav().open(str(at)) as video:
        return int(video.streams.video[0].frames)


def decode(at: Path, start_s: float, count: int, fps: float) -> NDArray[np.uint8]:
    """Returns `(count, h, w, 3)` images from a moment on: it goes to the key frame before it, and reads no more than it needs.

    Args:
      at: The video, by any codec of FFmpeg.
      start_s: Time of the first frame within the file.
      count: Frames.
      fps: Of the dataset; a frame whose time is off by half of its period or more is another one.

    Raises:
      BadData: If it is damaged, or holds fewer frames.
      MissingPackage: Without PyAV.
    """
    found: list[NDArray[np.uint8]] = []
    av = pyav()
    with _coding(at, "read"), av.open(str(at)) as video:
        stream = video.streams.video[0]
        coloured = _conversion(av, "rgb24")
        video.seek(round(start_s / stream.time_base), stream=stream, backward=True)
        for frame in video.decode(stream):
            if frame.time < start_s - 0.5 / fps:
                continue
            if abs(frame.time - start_s - len(found) / fps) >= 0.5 / fps:
                break
            found.append(coloured(frame).to_ndarray())
            if len(found) == count:
                return np.stack(found)
    raise BadData(f"{at} holds {len(found)} of the {count} frames that should follow {start_s:g} s: it was cut off, or is another video")


def feature_info(height: int, width: int, fps: int) -> Mapping[str, Any]:
    """Returns what LeRobot says of a video."""
    return {
        "video.height": height,
        "video.width": width,
        "video.codec": CODEC,
        "video.pix_fmt": PIXEL_FORMAT,
        "video.is_depth_map": False,
        "video.fps": fps,
        "video.channels": 3,
        "has_audio": False,
    }


def _conversion(av: Any, pixel_format: str, **how: Any) -> Callable[[Any], Any]:
    """Returns what gives a frame another pixel format: one for a whole video, for a frame's own would be made anew for each."""
    if int(av.__version__.split(".")[0]) >= _THREADS_SINCE:
        how["threads"] = 1
    return functools.partial(av.video.reformatter.VideoReformatter().reformat, format=pixel_format, **how)


def _parameters(at: Path) -> tuple[Any, ...]:
    with _coding(at, "read"), pyav().open(str(at)) as video:
        context = video.streams.video[0].codec_context
        return context.name, context.width, context.height, context.pix_fmt, bytes(context.extradata or b"")


def pyav() -> Any:
    """Returns the package av.

    Raises:
      MissingPackage: Without PyAV.
    """
    try:
        import av
    except ImportError as missing:
        raise MissingPackage("the formats that store video need: pip install 'vlagym[data]'") from missing
    return av


@contextlib.contextmanager
def _coding(at: Path, what: str) -> Iterator[None]:
    """Turns what FFmpeg complains of into BadData; what the system does, such as a full disk, stays an OSError."""
    import av.error

    try:
        yield
    except av.error.FileNotFoundError as error:
        raise BadData(f"{at} is missing") from error
    except (av.error.FFmpegError, ValueError, IndexError) as error:
        if isinstance(error, OSError) and not isinstance(error, ValueError):
            raise
        raise BadData(f"{at} cannot be {what}: {error}") from error
