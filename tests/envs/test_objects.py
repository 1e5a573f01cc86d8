"""The catalogues of objects and furniture: what is read, what is shared, what is refused."""

import shutil
from pathlib import Path

import pytest

from vlagym import assets
from vlagym.envs import fixtures, objects
from vlagym.envs.errors import BadData, UnknownName
from vlagym.envs.shapes import Mesh

BLOCK = assets.path("objects/block/block.toml")
CABINET = assets.path("fixtures/cabinet/cabinet.toml")
RED = 'design = "block"\ncolour = "red"\nrgba = [1, 0, 0, 1]\nsplit = "seen"\n'
CABINET_RED = RED.replace("block", "cabinet")


def write_object(folder: Path, text: str, change: tuple[str, str] = ("", "")) -> Path:
    """Returns the path of a block of its own, after one replacement in its design."""
    return _write(folder, BLOCK, "object.toml", text, change)


def write_fixture(folder: Path, text: str, change: tuple[str, str] = ("", "")) -> Path:
    return _write(folder, CABINET, "fixture.toml", text, change)


def _write(folder: Path, design: Path, name: str, text: str, change: tuple[str, str]) -> Path:
    path = folder / design.stem / "mine" / name
    path.parent.mkdir(parents=True)
    shutil.copy(design, folder / design.stem / design.name)
    found = design.read_text(encoding="utf-8")
    assert change[0] in found
    (folder / design.stem / design.name).write_text(found.replace(*change) if change[0] else found, encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    return path


def test_the_catalogue_is_sorted_and_read_once() -> None:
    ids = list(objects.catalog())
    assert ids == sorted(ids) and len(ids) >= 16
    assert objects.catalog() is objects.catalog()
    assert list(fixtures.fixtures()) == sorted(fixtures.fixtures())


def test_every_role_and_both_splits_are_there() -> None:
    for split in ("seen", "unseen"):
        roles = {role for asset in objects.catalog().values() if asset.split == split for role in asset.roles}
        assert roles == {"graspable", "support", "container", "stackable"}
    assert {f.split for f in fixtures.fixtures().values()} == {"seen", "unseen"}


def test_the_path_says_kind_and_id(tmp_path: Path) -> None:
    asset = objects.load_object(write_object(tmp_path, RED))
    assert (asset.kind, asset.id, asset.names[0], asset.colour) == ("block", "mine", "block", "red")
    assert asset.size_m == (0.045, 0.045, 0.045)


def test_a_variant_wins_over_its_design(tmp_path: Path) -> None:
    assert objects.load_object(write_object(tmp_path, RED + "mass_kg = 0.2\n")).mass_kg == 0.2


def test_variants_of_a_design_share_their_meshes() -> None:
    red, blue = objects.get("mug_white"), objects.get("mug_blue")
    assert [p.shape for p in red.visual if isinstance(p.shape, Mesh)]
    assert all(a.shape is b.shape for a, b in zip(red.visual, blue.visual, strict=True))
    assert red.rgba != blue.rgba


def test_an_unknown_object_is_answered_with_near_ones() -> None:
    with pytest.raises(UnknownName, match=r"no object is called 'mug_blu'\. Did you mean mug_blue"):
        objects.get("mug_blu")
    with pytest.raises(UnknownName, match=r"no fixture is called 'cabinet_rad'\. Did you mean cabinet_red"):
        fixtures.get_fixture("cabinet_rad")
    with pytest.raises(UnknownName, match=r"no joint of the cabinet_red is called 'door'\. There are: drawer"):
        fixtures.get_fixture("cabinet_red").joint("door")


@pytest.mark.parametrize(
    ("text", "change", "message"),
    [
        (RED + "weight = 3\n", ("", ""), r"^block/mine/object\.toml: no key is called 'weight'\. .*There are: collision, colour"),
        (RED, ("mass_kg", "mas_kg"), r"block/block\.toml: no key is called 'mas_kg'\. Did you mean mass_kg"),
        (RED, ("mass_kg = 0.07", ""), r"^block/mine/object\.toml lacks the key 'mass_kg'"),
        (RED, ("mass_kg = 0.07", "mass_kg = 0.0"), r"mass_kg is 0\.0; it must be above 0"),
        (RED, ("[0.045, 0.045, 0.045]\nmass", "[0.05, 0.045, 0.045]\nmass"), r"size_m is \(0\.05, .*shapes measure 0\.0450 x 0\.0450 x 0\.0450 m"),
        (RED, ("bevel_m = 0.002\npos_m = [0.0, 0.0, 0.0225]", "bevel_m = 0.002"), r"from z = -0\.0225; they must begin at z = 0"),
        (RED, ('[[collision]]\nshape = "box"\nsize_m = [0.045, 0', '[[collision]]\nshape = "box"\nsize_m = [0.09, 0'), r"its collision shapes span"),
        (RED, ('"graspable", ', ""), r"a graspable object needs a \[\[grasp\]\], and only a graspable one has any"),
        (RED, ("[place]\nsurface_height_m = 0.045\ninner_radius_m = 0.02\n", ""), r"stackable object needs a \[place\]"),
        (RED, ("width_m = 0.045", "width_m = 0.07"), r"grasp\[0\]: width_m must be above 0 and at most 0\.06"),
        (RED, ("yaw_rad = [0.0, 1.5707963]", ""), r"grasp\[0\] needs either yaw_rad or symmetric = true"),
        (RED, ("bevel_m", "bevel"), r"^block/mine/object\.toml: visual\[0\] has an unknown key 'bevel'"),
        (RED, ('unseen_names = ["brick"]', 'unseen_names = ["cube"]'), r"has the name 'cube' twice; a word is either seen or unseen"),
        (RED.replace('"seen"', '"held_out"'), ("", ""), r"split is 'held_out'; it must be one of 'seen', 'unseen'"),
        (RED.replace('"block"', '"blok"'), ("", ""), r"no design is called 'blok'\. Did you mean block\?"),
        (RED.replace('"block"', '"block'), ("", ""), r"^block/mine/object\.toml cannot be read: .*line 1"),
    ],
)
def test_a_wrong_object_is_refused_with_file_and_key(tmp_path: Path, text: str, change: tuple[str, str], message: str) -> None:
    with pytest.raises(BadData, match=message):
        objects.load_object(write_object(tmp_path, text, change))


@pytest.mark.parametrize(
    ("text", "change", "message"),
    [
        (CABINET_RED + "names = []\n", ("", ""), r"^cabinet/mine/fixture\.toml\.names is empty"),
        (CABINET_RED, ("open_threshold_m = 0.08", "open_threshold_m = 0.2"), r"open_threshold_m is 0\.2; it must lie within range_m, 0\.0 to 0\.11"),
        (CABINET_RED, ("axis = [1.0, 0.0, 0.0]", "axis = [1.0, 1.0, 0.0]"), r"joint\[0\]\.axis is \(1\.0, 1\.0, 0\.0\); it must have length 1"),
        (CABINET_RED, ("damping = 3.0", "damping = -3.0"), r"joint\[0\]\.damping is -3\.0; it must not be negative"),
        (CABINET_RED, ("damping = 3.0", "dampng = 3.0"), r"joint\[0\] has an unknown key 'dampng'"),
        (CABINET_RED, ("size_m = [0.152, 0.18, 0.12]", "size_m = [0.152, 0.18, 0.14]"), r"visual shapes measure 0\.1520 x 0\.1800 x 0\.1200 m"),
        (CABINET_RED, ('type = "slide"', 'type = "roll"'), r"type is 'roll'; it must be one of 'slide', 'hinge'"),
    ],
)
def test_wrong_furniture_is_refused_with_file_and_key(tmp_path: Path, text: str, change: tuple[str, str], message: str) -> None:
    with pytest.raises(BadData, match=message):
        fixtures.load_fixture(write_fixture(tmp_path, text, change))
