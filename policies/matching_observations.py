"""Compares single streams and states of observations: each comparison gives the conversion, or says what would fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vlagym.envs.errors import BadSpec
from vlagym.envs.images import Shrink
from vlagym.envs.types import ImageComponent, ObservationSpec, StateComponent
from vlagym.policies.base import Normalisation
from vlagym.policies.conversions import states
from vlagym.policies.conversions.images import ORIENTATIONS
from vlagym.policies.matching import Row
from vlagym.policies.steps import ImageStep, StateStep


def image(wanted: ImageComponent, streams: Mapping[str, ImageComponent]) -> tuple[ImageStep, Row]:
    """Returns the conversion of one camera stream."""
    camera = wanted.source or wanted.name
    part, mine = f"image {wanted.name}", say_image(wanted)
    step = ImageStep(camera=camera, shrink=None, name=None if camera == wanted.name else wanted.name, values=wanted.values)
    if camera not in streams:
        called = "so" if wanted.source is None else repr(camera)
        some = next(iter(streams), None)
        hint = "" if some is None else f"; say in source which of them it is, e.g. {some}"
        return step, Row(part, mine, "-", f"no camera is called {called}; there are: {', '.join(streams) or 'none'}{hint}")
    there = streams[camera]
    row = Row(part, mine, say_image(there))
    flips = tuple(sorted(ORIENTATIONS[wanted.orientation] ^ ORIENTATIONS[there.orientation]))
    step = replace(step, flips=flips, centre_share=wanted.centre_share)
    if wanted.crop is not None:
        return _cropped(step, wanted, there, row)
    if (wanted.width, wanted.height) == (there.width, there.height):
        return step, row
    if wanted.fit == "exact":
        wrong = "another size; a policy that wants a centre crop and an area mean of it declares the crop, else it says fit = stretch or pad"
        return step, row._replace(wrong=wrong)
    return replace(step, size=(wanted.width, wanted.height), fit=wanted.fit, filter=wanted.filter), row


def _cropped(step: ImageStep, wanted: ImageComponent, there: ImageComponent, row: Row) -> tuple[ImageStep, Row]:
    if wanted.fit != "exact":
        return step, row._replace(wrong=f"it declares both a crop and fit = {wanted.fit}: only one of them says how it comes to its size")
    if wanted.width != wanted.height:
        return step, row._replace(wrong="a centre crop is square, and so is what it shrinks to")
    assert wanted.crop is not None
    shrink = Shrink(crop=wanted.crop, size=wanted.width)
    try:
        shrink.check(there.width, there.height)
    except BadSpec as error:
        return step, row._replace(wrong=str(error))
    return replace(step, shrink=shrink), row


def state(wanted: StateComponent, observation: ObservationSpec, by: Normalisation | None) -> tuple[StateStep | None, Row]:
    """Returns the conversion of one state; None for an array that is sent as it is."""
    part, there = f"state {wanted.name}", {s.name: s.size for s in observation.state}
    wrongs: list[str] = []
    step: StateStep | None = None
    if wanted.parts:
        made = " ".join(dict.fromkeys(p.array for p in wanted.parts if p.array in there)) or "-"
        row = Row(part, f"{wanted.size}, of {len(wanted.parts)} parts", made)
        wrongs += states.complaints(wanted.parts, wanted.size, there)
        step = StateStep(name=wanted.name, parts=wanted.parts)
    elif wanted.name not in there:
        hint = "; a vector that is made of them declares its parts" if there else ""
        wrongs.append(f"the environment has none of that name; it has {', '.join(there) or 'none'}{hint}")
        row = Row(part, f"{wanted.size}", "-")
    else:
        row = Row(part, f"{wanted.size}", f"{there[wanted.name]}")
        if wanted.size != there[wanted.name]:
            wrongs.append(f"size {wanted.size} is not {there[wanted.name]}")
    if by is not None:
        if by.size != wanted.size:
            wrongs.append(f"its normalisation is of {by.size} numbers, and it has {wanted.size}")
        step = replace(step or StateStep(name=wanted.name), normalisation=by)
    return step, row._replace(wrong="; ".join(wrongs))


def say_image(i: ImageComponent) -> str:
    """Returns a stream in one line."""
    words = [f"{i.width} x {i.height}" + ("" if i.crop is None else f" of a centre crop of {i.crop}"), i.orientation]
    if i.fit != "exact":
        words.append(f"{i.fit} by {i.filter}")
    if i.centre_share is not None:
        words.append(f"middle {i.centre_share:g} of the area")
    if i.values != "uint8":
        words.append(f"values {i.values}")
    return ", ".join(words)
