"""How a head turns: its width, its shoulders, its shade, and glasses that do not bend."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from inference_server.datatypes import ARKIT_INDEX, FaceCrop, Look, Motion, Portrait
from inference_server.motion.body import BODY, REACH_S, follow
from inference_server.portrait import face_mesh
from inference_server.portrait.analysis import analyze
from inference_server.portrait.crop import crop_face
from inference_server.renderers.mesh_warp import MeshWarp, glasses
from inference_server.renderers.mesh_warp.pose import breadth, source_yaw_deg
from inference_server.renderers.mesh_warp.prepared import Prepared
from inference_server.renderers.mesh_warp.shape import shape_of

ASTRONAUT = Path(__file__).parents[1] / "fixtures" / "astronaut.png"
LOOK = Look(size=384, style="photo", framing="crop", alpha=False, seed=0)
RENDERER = MeshWarp("cpu")


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    return analyze(ASTRONAUT)


@pytest.fixture(scope="module")
def crop(portrait: Portrait) -> FaceCrop:
    return crop_face(portrait, 0, 384)


@pytest.fixture(scope="module")
def prepared(portrait: Portrait, crop: FaceCrop) -> Prepared:
    return RENDERER.prepare(portrait, crop, LOOK)


def motion(n_frames: int = 1, **weights: float) -> Motion:
    expression = np.zeros((n_frames, 52), np.float32)
    for name, weight in weights.items():
        expression[:, ARKIT_INDEX[name]] = weight
    head, gaze = np.zeros((n_frames, 6), np.float32), np.zeros((n_frames, 2), np.float32)
    return Motion(Fraction(24), expression, head, gaze)


def turned(*head: float) -> Motion:
    still = motion()
    still.head[0, : len(head)] = head
    return still


def with_body(moving: Motion, breathing: float, seed: int, begin_s: float) -> np.ndarray:
    """(N, 3) the body of a motion in which every frame is a drawing."""
    every = np.arange(moving.n_frames)
    return follow(moving, breathing, seed, begin_s, every).native[BODY]


def draw(prepared: Prepared, moved: Motion) -> np.ndarray:
    return next(iter(RENDERER.render(prepared, moved, [0])))


@pytest.mark.parametrize("yaw", [-20, -10, 10, 20])
def test_a_turned_head_is_as_wide_as_a_skull(
    portrait: Portrait, crop: FaceCrop, yaw: float
) -> None:
    clear = RENDERER.prepare(portrait, crop, replace(LOOK, alpha=True))
    brow, mouth = int(clear.scene.mesh[9, 1]), int(clear.scene.mesh[1, 1])

    def width(head: float) -> float:
        figure = draw(clear, turned(head))[brow:mouth, :, 3] > 127
        return float(figure.sum(1).mean())

    source = np.radians(source_yaw_deg(clear.fit))
    ideal = breadth(source + np.radians(yaw)) / breadth(source)
    assert 0.9 < width(yaw) / width(0) / ideal < 1.02


def test_shoulders_follow_late_and_a_little() -> None:
    swing = motion(36)
    swing.head[6:, 2] = 10.0
    body = with_body(swing, 0.0, 0, 0.0)
    assert (body[:6] == 0).all()
    roll = body[:, 2]
    assert (np.diff(roll) >= -1e-6).all() and 0 < roll[6] < 0.5 * roll[-1] < roll[-1] < 5
    settled = 6 + int(REACH_S * 24)
    assert roll[settled:] == pytest.approx(roll[-1])


def test_an_edited_pose_moves_no_body_beyond_its_reach() -> None:
    plain, edited = motion(60), motion(60)
    rng = np.random.default_rng(0)
    plain.head[:] = edited.head[:] = rng.normal(0, 4, (60, 6)).astype(np.float32)
    edited.head[20, 0] += 8
    one, other = (with_body(each, 0.5, 3, 0.0) for each in (plain, edited))
    changed = np.flatnonzero((one != other).any(1))
    assert changed[0] == 20 and changed[-1] <= 20 + REACH_S * 24


def test_a_trimmed_shot_breathes_as_before() -> None:
    breath = with_body(motion(48), 1.0, 5, 1.0)[12:, 1]
    assert with_body(motion(36), 1.0, 5, 1.5)[:, 1] == pytest.approx(breath, abs=1e-6)
    assert np.ptp(breath) > 0.002
    assert (with_body(motion(48), 0.0, 5, 1.0) == 0).all()


def test_the_body_moves_shoulders_and_not_the_face(prepared: Prepared) -> None:
    still, moved = motion(), motion()
    moved = replace(moved, native={BODY: np.array([[0.05, 0.0, 2.0]], np.float32)})
    before, after = (shape_of(prepared, each, 0).coarse for each in (still, moved))
    assert (before[:478] == after[:478]).all()
    low = before[478:, 1] > 0.95 * prepared.scene.shape[0]
    assert (after[478:, 0] - before[478:, 0])[low].min() > 0.02 * prepared.fit.scale


def test_shade_turns_with_the_head_and_leaves_the_rest(
    portrait: Portrait, crop: FaceCrop, prepared: Prepared
) -> None:
    lit_left = crop.rgba.copy()
    ramp = np.linspace(1.0, 0.45, 384)[None, :, None]
    lit_left[..., :3] = (lit_left[..., :3] * ramp).astype(np.uint8)
    lit = RENDERER.prepare(portrait, replace(crop, rgba=lit_left), LOOK)
    assert lit.light is not None and lit.light.slope[0] < -0.1  # brighter towards the left
    plain = replace(lit, light=None)
    face = crop.mesh[[50, 280, 4, 9], :2].astype(int)
    change = {}
    for yaw in (-18, 0, 18):
        both = [draw(each, turned(yaw)).astype(int) for each in (lit, plain)]
        difference = (both[0] - both[1])[..., :3]
        change[yaw] = np.mean([difference[y, x].mean() for x, y in face])
        assert np.abs(difference).max() < 50
        assert (difference[:20] == 0).all() and (difference[-20:] == 0).all()
    assert change[-18] > 1 > change[0] == 0 > -1 > change[18]


def test_lines_are_not_shaded(portrait: Portrait, crop: FaceCrop) -> None:
    assert RENDERER.prepare(portrait, crop, replace(LOOK, style="ink")).light is None


def with_glasses(crop: FaceCrop, dark: bool) -> FaceCrop:
    """Round wire frames, or black lenses, drawn where glasses sit."""
    rgba = crop.rgba.copy()
    width = float(np.linalg.norm(crop.mesh[454, :2] - crop.mesh[234, :2]))
    centres = [crop.mesh[k, :2] + [0, 0.03 * width] for k in (468, 473)]
    ink, radius, line = (25, 22, 22, 255), round(0.17 * width), max(2, round(0.012 * width))
    for centre in centres:
        cv2.circle(rgba, np.rint(centre).astype(int).tolist(), radius, ink, -1 if dark else line)
    ends = [c + [s * (radius - 1), -0.03 * width] for c, s in zip(centres, (1, -1), strict=True)]
    first, second = (np.rint(end).astype(int).tolist() for end in ends)
    cv2.line(rgba, first, second, ink, line)
    return replace(crop, rgba=rgba)


def test_glasses_are_found_on_those_who_wear_them(crop: FaceCrop) -> None:
    fit = face_mesh.fit(crop.mesh)
    cases = {"none": crop, "clear": with_glasses(crop, False), "dark": with_glasses(crop, True)}
    for worn, each in cases.items():
        image = np.ascontiguousarray(each.rgba[..., :3])
        assert glasses.lenses(image, fit, "auto") == worn
        assert glasses.lenses(image, fit, "none") == "none"


def test_frames_of_glasses_do_not_bend(portrait: Portrait, crop: FaceCrop) -> None:
    wearing = RENDERER.prepare(portrait, with_glasses(crop, False), LOOK)
    assert wearing.worn == "clear"
    expressive = motion(browInnerUp=1.0, browDownLeft=0.5, cheekSquintLeft=1.0,
                        cheekSquintRight=1.0, noseSneerLeft=0.6)  # fmt: skip
    still = shape_of(wearing, motion(), 0).coarse[:478]
    moved = shape_of(wearing, expressive, 0).coarse[:478]
    bare = replace(wearing, loose=np.ones(478))
    unhindered = shape_of(bare, expressive, 0).coarse[:478]
    width = wearing.fit.scale
    centres = np.repeat(still[[468, 473], None, :2] + [0, 0.03 * width], 478, 1)
    rim = (np.abs(np.linalg.norm(still[None, :, :2] - centres, axis=2) - 0.17 * width)).min(0)
    on_rim = (rim < 0.02 * width) & (still[:, 1] > centres[0, 0, 1] - 0.1 * width)
    assert on_rim.sum() > 8
    assert np.abs(moved - still)[on_rim].max() < 0.006 * width
    assert np.abs(unhindered - still)[on_rim].max() > 0.02 * width
    shut = shape_of(wearing, motion(eyeBlinkLeft=1.0, eyeBlinkRight=1.0), 0).coarse
    assert np.abs(shut[159, 1] - shut[145, 1]) < 0.35 * np.abs(still[159, 1] - still[145, 1])


def test_nothing_shows_behind_dark_glasses(portrait: Portrait, crop: FaceCrop) -> None:
    wearing = RENDERER.prepare(portrait, with_glasses(crop, True), LOOK)
    looking = motion(eyeBlinkLeft=1.0)
    looking.gaze[0] = [20, 5]
    assert (draw(wearing, looking) == draw(wearing, motion())).all()
