"""The renderer that warps a face mesh: it does what the motion says, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from inference_server.datatypes import ARKIT_INDEX, ARKIT_NAMES, FaceCrop, Look, Motion, Portrait
from inference_server.portrait import face_mesh
from inference_server.portrait.analysis import analyze
from inference_server.portrait.crop import crop_face
from inference_server.portrait.mediapipe_mesh import MediaPipeMesh
from inference_server.portrait.topology import EYE_LEFT_RIM, EYE_RIGHT_RIM
from inference_server.renderers.mesh_warp import MeshWarp
from inference_server.renderers.mesh_warp.prepared import Prepared

ASTRONAUT = Path(__file__).parents[1] / "fixtures" / "astronaut.png"  # NASA, public domain
LOOK = Look(size=512, style="photo", framing="crop", alpha=False, seed=0)
RENDERER = MeshWarp()


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    return analyze(ASTRONAUT)


@pytest.fixture(scope="module")
def crop(portrait: Portrait) -> FaceCrop:
    return crop_face(portrait, 0, 512)


@pytest.fixture(scope="module")
def prepared(portrait: Portrait, crop: FaceCrop) -> Prepared:
    return RENDERER.prepare(portrait, crop, LOOK)


@pytest.fixture(scope="module")
def tracker() -> Iterator[MediaPipeMesh]:
    yield MediaPipeMesh()


def motion(*frames: dict[str, object]) -> Motion:
    """One row per dict: ARKit names, "head" (yaw, pitch, roll, x, y, z) and "gaze" (x, y)."""
    expression = np.zeros((len(frames), 52), np.float32)
    head, gaze = np.zeros((len(frames), 6), np.float32), np.zeros((len(frames), 2), np.float32)
    for row, frame in enumerate(frames):
        for name, value in frame.items():
            if name == "head":
                head[row, : len(value)] = value
            elif name == "gaze":
                gaze[row] = value
            else:
                expression[row, ARKIT_INDEX[name]] = value
    return Motion(Fraction(24), expression, head, gaze)


def both(name: str, weight: float) -> dict[str, float]:
    return {name + "Left": weight, name + "Right": weight}


def draw(prepared: Prepared, **frame: object) -> np.ndarray:
    return next(iter(RENDERER.render(prepared, motion(frame), [0])))


def track(tracker: MediaPipeMesh, rgba: np.ndarray) -> face_mesh.Fit:
    """The face as a detector sees it in a frame."""
    faces = tracker.detect(np.ascontiguousarray(rgba[..., :3]))
    assert len(faces) == 1
    return face_mesh.fit(faces[0].mesh)


def lip_gap(points: np.ndarray) -> float:
    return float(points[14, 1] - points[13, 1])


def eye_opening(points: np.ndarray, upper: int, lower: int, outer: int, inner: int) -> float:
    height = np.linalg.norm(points[upper, :2] - points[lower, :2])
    return float(height / np.linalg.norm(points[outer, :2] - points[inner, :2]))


def yaw_deg(fit: face_mesh.Fit) -> float:
    return float(np.degrees(np.arctan2(-fit.rotation[0, 2], fit.rotation[2, 2])))


def pitch_deg(fit: face_mesh.Fit) -> float:
    return float(np.degrees(np.arcsin(np.clip(fit.rotation[1, 2], -1, 1))))


def roll_deg(fit: face_mesh.Fit) -> float:
    return float(np.degrees(np.arctan2(fit.rotation[1, 0], fit.rotation[1, 1])))


def test_face_at_rest_is_the_picture(prepared: Prepared, crop: FaceCrop) -> None:
    frame = draw(prepared)
    assert frame.shape == (512, 512, 4) and frame.dtype == np.uint8
    assert (frame[..., 3] == 255).all()
    difference = np.abs(frame[..., :3].astype(int) - crop.rgba[..., :3]).max(2)
    nose, chin = int(crop.mesh[4, 1]), int(crop.mesh[152, 1])
    upper = difference[:nose]  # below, the lips of this picture close and the chin rises
    assert np.percentile(upper, 99) <= 4
    assert upper.max() <= 40  # the glow around hair is not kept
    body = difference[chin + 60 :]
    assert np.percentile(body, 99) <= 2


def test_open_lips_of_the_picture_close(
    prepared: Prepared, crop: FaceCrop, tracker: MediaPipeMesh
) -> None:
    pictured = lip_gap(track(tracker, crop.rgba).canonical)
    closed = lip_gap(track(tracker, draw(prepared)).canonical)
    assert pictured > 0.03  # she smiles and shows her teeth
    assert closed < 0.5 * pictured


def test_jaw_opens_the_lips(prepared: Prepared, tracker: MediaPipeMesh) -> None:
    gaps = [
        lip_gap(RENDERER.landmarks(prepared, motion({"jawOpen": amount}), [0])[0])
        / prepared.fit.scale
        for amount in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert gaps[0] < 0.005
    assert (np.diff(gaps) > 0.03).all()
    assert gaps[-1] >= 0.155
    seen = [lip_gap(track(tracker, draw(prepared, jawOpen=a)).canonical) for a in (0.0, 0.5, 1.0)]
    assert seen[1] - seen[0] > 0.05 and seen[2] - seen[1] > 0.03


@pytest.mark.parametrize("amount", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("extra", [{}, {"mouthFunnel": 1.0, "mouthPucker": 0.8}])
def test_mouth_close_undoes_the_jaw(
    prepared: Prepared, amount: float, extra: dict[str, float]
) -> None:
    still = RENDERER.landmarks(prepared, motion(extra), [0])[0]
    sealed = {"jawOpen": amount, "mouthClose": amount, **extra}
    points = RENDERER.landmarks(prepared, motion(sealed), [0])[0]
    pairs = ((82, 87), (13, 14), (312, 317), (80, 88), (310, 318))
    for upper, lower in pairs:
        at_rest = still[lower, 1] - still[upper, 1]
        assert points[lower, 1] - points[upper, 1] == pytest.approx(at_rest, abs=0.02)
    half = {**sealed, "mouthClose": amount / 2}
    halfway = lip_gap(RENDERER.landmarks(prepared, motion(half), [0])[0])
    opened = lip_gap(RENDERER.landmarks(prepared, motion({**sealed, "mouthClose": 0}), [0])[0])
    assert halfway - lip_gap(still) == pytest.approx((opened - lip_gap(still)) / 2, rel=0.02)


def test_blink_shuts_the_eyes(prepared: Prepared, tracker: MediaPipeMesh) -> None:
    opened, shut = (track(tracker, draw(prepared, **both("eyeBlink", b))).canonical for b in (0, 1))
    for points in ((159, 145, 33, 133), (386, 374, 263, 362)):
        assert eye_opening(shut, *points) < 0.55 * eye_opening(opened, *points)
    mesh = RENDERER.landmarks(prepared, motion(both("eyeBlink", 1.0)), [0])[0]
    for upper, lower in ((159, 145), (386, 374)):
        assert abs(mesh[lower, 1] - mesh[upper, 1]) < 1.0


def test_a_wink_is_the_eye_that_was_asked_for(prepared: Prepared) -> None:
    change = np.abs(draw(prepared, eyeBlinkLeft=1.0).astype(int) - draw(prepared)).sum(2)
    middle = int(prepared.scene.mesh[168, 0])
    # the person's left is on the right of the picture
    assert change[:, middle:].sum() > 20 * change[:, :middle].sum()


@pytest.mark.parametrize("yaw", [-20, -10, 10, 20])
def test_head_turns_to_the_side_that_was_asked_for(
    prepared: Prepared, tracker: MediaPipeMesh, yaw: float
) -> None:
    still = yaw_deg(track(tracker, draw(prepared)))
    turned = yaw_deg(track(tracker, draw(prepared, head=(yaw, 0, 0)))) - still
    assert 0.75 * abs(yaw) < turned * np.sign(yaw) < 1.35 * abs(yaw)


def test_head_nods_and_tilts(prepared: Prepared, tracker: MediaPipeMesh) -> None:
    still = track(tracker, draw(prepared))
    up = track(tracker, draw(prepared, head=(0, 12, 0)))
    down = track(tracker, draw(prepared, head=(0, -12, 0)))
    assert pitch_deg(up) - pitch_deg(still) > 8 and pitch_deg(down) - pitch_deg(still) < -8
    tilted = track(tracker, draw(prepared, head=(0, 0, 10)))
    assert 8 < roll_deg(tilted) - roll_deg(still) < 12  # clockwise


def test_head_moves_in_face_widths(prepared: Prepared) -> None:
    still, moved, near = RENDERER.landmarks(
        prepared, motion({}, {"head": (0, 0, 0, 0.1, -0.05, 0)}, {"head": (0, 0, 0, 0, 0, 0.5)}),
        [0, 1, 2],
    )  # fmt: skip
    shift = (moved - still).mean(0) / prepared.fit.scale
    assert shift == pytest.approx([0.1, -0.05], abs=1e-3)
    assert np.ptp(near[:, 0]) == pytest.approx(np.ptp(still[:, 0]) * 5 / 4.5, rel=1e-3)


def test_yaw_is_limited_softly(prepared: Prepared) -> None:
    angles = [10.0, 15, 20, 25, 30, 40]
    points = RENDERER.landmarks(
        prepared, motion(*({"head": (a, 0, 0)} for a in angles)), range(len(angles))
    )
    nose = points[:, 4, 0]
    steps = np.diff(nose) / np.diff(angles)
    assert (steps > -1e-3).all()
    assert steps[-1] < 0.2 * steps[0]  # hardly anything is left to give


def test_gaze_moves_the_iris(prepared: Prepared) -> None:
    rest = draw(prepared)
    for gaze, axis, sign in (((25, 0), 0, 1), ((-25, 0), 0, -1), ((0, -20), 1, 1)):
        frame = draw(prepared, gaze=gaze)
        points = RENDERER.landmarks(prepared, motion({}, {"gaze": gaze}), [0, 1])
        assert (sign * (points[1] - points[0])[[468, 473], axis] > 1).all()
        for ring in (EYE_RIGHT_RIM, EYE_LEFT_RIM):
            low = points[0][list(ring)].min(0).astype(int)
            high = points[0][list(ring)].max(0).astype(int)
            region = np.s_[low[1] : high[1], low[0] : high[0]]
            before, after = _dark_centre(rest[region]), _dark_centre(frame[region])
            assert sign * (after - before)[axis] > 0.4


def _dark_centre(rgba: np.ndarray) -> np.ndarray:
    dark = np.clip(140 - rgba[..., :3].mean(2), 0, None) ** 2
    y, x = np.mgrid[: dark.shape[0], : dark.shape[1]]
    return np.array([(dark * x).sum(), (dark * y).sum()]) / dark.sum()


@pytest.mark.parametrize("name", ARKIT_NAMES)
def test_every_arkit_name_shows(prepared: Prepared, name: str) -> None:
    base = {"jawOpen": 0.4} if name == "mouthClose" else {}
    change = np.abs(
        draw(prepared, **base, **{name: 0.4 if base else 1.0}).astype(int) - draw(prepared, **base)
    )
    assert (change.max(2) > 8).sum() > 20
    face = prepared.scene.mesh[:, :2]
    middle = int(face[168, 0])
    if name.endswith("Left") and not name.startswith(("jaw", "mouthLeft")):
        assert change[:, middle:].sum() > 2 * change[:, :middle].sum()
    if name.endswith("Right") and not name.startswith(("jaw", "mouthRight")):
        assert change[:, :middle].sum() > 2 * change[:, middle:].sum()


@pytest.mark.parametrize(
    "frame",
    [
        {"jawOpen": 1.0, **both("mouthStretch", 1), **both("mouthSmile", 1)},
        {"mouthFunnel": 1.0, "mouthPucker": 1.0, "mouthShrugUpper": 1, **both("noseSneer", 1)},
        {"jawForward": 1.0, "mouthLeft": 1.0, "tongueOut": 0.0, **both("mouthDimple", 1)},
    ],
)
def test_lips_never_cross(prepared: Prepared, frame: dict[str, float]) -> None:
    points = RENDERER.landmarks(prepared, motion(frame), [0])[0]
    for upper, lower in ((81, 178), (82, 87), (13, 14), (312, 317), (311, 402)):
        assert points[lower, 1] - points[upper, 1] > -0.35  # px


def test_rounding_alone_keeps_the_lips_together(prepared: Prepared) -> None:
    round_lips = {"mouthFunnel": 1.0, "mouthPucker": 0.8}
    points = RENDERER.landmarks(prepared, motion({}, round_lips), [0, 1])
    assert lip_gap(points[1]) == pytest.approx(lip_gap(points[0]), abs=0.5)
    width = points[:, 291, 0] - points[:, 61, 0]
    assert width[1] < 0.75 * width[0]


def test_round_lips_do_not_smile(prepared: Prepared) -> None:
    still, pursed = RENDERER.landmarks(
        prepared, motion({}, {"mouthFunnel": 1.0, "mouthPucker": 0.8}), [0, 1]
    )

    def raised(points: np.ndarray) -> float:
        return float(points[13, 1] - points[[61, 291], 1].mean()) / prepared.fit.scale

    assert raised(still) > 0.025  # she smiles
    assert abs(raised(pursed)) < 0.5 * raised(still)


def test_shut_lips_of_a_smile_meet_in_a_line(prepared: Prepared) -> None:
    frame = draw(prepared, **both("mouthPress", 0.3)).astype(float)
    points = RENDERER.landmarks(prepared, motion(both("mouthPress", 0.3)), [0])[0]
    luma = frame[..., :3] @ [0.299, 0.587, 0.114]
    reach = max(3, round(0.03 * prepared.fit.scale))
    contrasts = []
    for upper, lower in ((80, 88), (82, 87), (13, 14), (312, 317), (310, 318)):
        x, y = np.round(points[[upper, lower]].mean(0)).astype(int)
        column = luma[y - reach : y + reach + 1, x]
        contrasts.append(min(column[0], column[-1]) - column[reach - 1 : reach + 2].min())
    assert min(contrasts) > 25  # dark all along, no tooth between


@pytest.mark.parametrize("rounding", [0.4, 1.0])
def test_round_lips_hide_the_teeth(prepared: Prepared, rounding: float) -> None:
    def brightest(**frame: float) -> float:
        points = RENDERER.landmarks(prepared, motion(frame), [0])[0]
        x, top, bottom = points[13, 0], points[13, 1], points[14, 1]
        inside = draw(prepared, **frame)[int(top) + 2 : int(bottom) - 1, int(x) - 2 : int(x) + 3]
        return float(inside[..., :3].mean(2).max())

    bared = brightest(jawOpen=0.5)
    hidden = brightest(jawOpen=0.5, mouthFunnel=rounding, mouthPucker=0.8 * rounding)
    assert bared > 120
    assert hidden < (0.6 if rounding == 1 else 1.0) * bared


def test_the_artist_decides_what_the_mouth_shows(
    portrait: Portrait, crop: FaceCrop, prepared: Prepared
) -> None:
    def mouth(**params: float) -> np.ndarray:
        ready = RENDERER.prepare(portrait, crop, replace(LOOK, params=params))
        frame = draw(ready, jawOpen=0.8)
        points = RENDERER.landmarks(ready, motion({"jawOpen": 0.8}), [0])[0]
        x, top, bottom = (int(v) for v in (points[13, 0], points[13, 1], points[14, 1]))
        return frame[top + 2 : bottom - 2, x - 6 : x + 7, :3].astype(float)

    usual = mouth()
    assert (mouth(tooth_show=1.0, tongue=1.0, mouth_dark=1.0) == usual).all()
    assert np.percentile(mouth(tooth_show=0.0), 98) < 0.75 * np.percentile(usual, 98)
    half = len(usual) // 2
    lower, without = usual[half:], mouth(tongue=0.0)[half:]
    assert without.mean() < lower.mean() - 2
    assert mouth(mouth_dark=2.0)[half:].mean() < lower.mean() - 5
    assert mouth(mouth_dark=0.0)[half:].mean() > lower.mean() + 5


def test_half_a_blink_covers_half_the_eye(prepared: Prepared) -> None:
    still, half = RENDERER.landmarks(prepared, motion({}, both("eyeBlink", 0.5)), [0, 1])
    for upper, lower in ((159, 145), (386, 374)):
        opening = still[lower, 1] - still[upper, 1]
        assert 0.4 < (half[upper, 1] - still[upper, 1]) / opening < 0.6


def test_what_shows_nothing_is_skipped_and_nothing_else(prepared: Prepared) -> None:
    plates = prepared.photo
    assert 0.05 < plates.clear.mean() < 0.9
    slow = replace(plates, clear=np.zeros_like(plates.clear))
    pose = {"head": (15, -8, 10, 0.1, 0.05, 0.3), "jawOpen": 0.6}
    assert (draw(prepared, **pose) == draw(replace(prepared, photo=slow), **pose)).all()


def test_background_never_moves(portrait: Portrait, crop: FaceCrop, prepared: Prepared) -> None:
    clear = RENDERER.prepare(portrait, crop, replace(LOOK, alpha=True))
    moving = motion({}, {"head": (18, 8, -6), "jawOpen": 1.0}, {"head": (-18, -8, 6, 0.1, 0, 0.2)})
    bare = np.all([f[..., 3] == 0 for f in RENDERER.render(clear, moving, range(3))], axis=0)
    assert bare.mean() > 0.2
    frames = list(RENDERER.render(prepared, moving, range(3)))
    assert (frames[1][bare] == frames[2][bare]).all()
    assert np.abs(frames[0][bare].astype(int) - frames[1][bare]).max() <= 3


def test_alpha_is_straight_and_agrees_with_the_opaque_frame(
    portrait: Portrait, crop: FaceCrop, prepared: Prepared
) -> None:
    clear = RENDERER.prepare(portrait, crop, replace(LOOK, alpha=True))
    pose = {"head": (12, 4, 3), "jawOpen": 0.5}
    rgba, over = draw(clear, **pose).astype(float), draw(prepared, **pose).astype(float)
    alpha = rgba[..., 3:] / 255
    solid = alpha[..., 0] == 1
    assert 0.2 < solid.mean() < 0.8 and (alpha == 0).mean() > 0.1
    assert np.abs(rgba - over)[solid].max() <= 3
    behind = prepared.photo.background
    plate = np.stack([(behind >> (16 * c)) & 255 for c in range(3)], axis=2)
    joined = rgba[..., :3] * alpha + plate * (1 - alpha)
    moved = np.abs(joined - over[..., :3]).max(2)
    assert np.percentile(moved, 99) <= 6


def test_picture_framing_has_no_seam(portrait: Portrait, tmp_path: Path) -> None:
    wide = np.concatenate([portrait.rgba[:, ::-1], portrait.rgba, portrait.rgba[:, ::-1]], axis=1)
    offset = np.array([portrait.rgba.shape[1], 0])
    faces = tuple(
        replace(f, mesh=f.mesh + np.append(offset, 0).astype(np.float32)) for f in portrait.faces
    )
    scene = replace(portrait, rgba=np.ascontiguousarray(wide), faces=faces)
    crop = crop_face(scene, 0, 512)
    look = replace(LOOK, framing="picture", size=900)
    ready = RENDERER.prepare(scene, crop, look)
    still, moved = RENDERER.render(
        ready, motion({}, {"head": (20, 10, 10, 0.1, 0.1, 0.2), "jawOpen": 1.0}), [0, 1]
    )
    assert still.shape == (300, 900, 4)
    x0, y0 = ready.scene.corner
    height, width = ready.scene.shape
    outside = np.ones(still.shape[:2], bool)
    # the first pixels inside hold still as well, on the sides that lie within the picture
    outside[y0 : y0 + height, x0 + 2 : x0 + width - 2] = False
    assert x0 > 200 and x0 + width < 700
    assert (still[outside] == moved[outside]).all()
    assert (still != moved).any(2).mean() > 0.03


@pytest.mark.parametrize("size", [128, 257, 512, 1024, pytest.param(2048, marks=pytest.mark.slow)])
def test_every_size(portrait: Portrait, size: int) -> None:
    crop = crop_face(portrait, 0, size)
    ready = RENDERER.prepare(portrait, crop, replace(LOOK, size=size))
    rest, frame = RENDERER.render(ready, motion({}, {"jawOpen": 0.7, "head": (10, 0, 0)}), [0, 1])
    assert frame.shape == (size, size, 4)
    assert (np.abs(rest.astype(int) - frame).max(2) > 10).mean() > 0.02


def test_a_crop_of_another_size_is_resampled(portrait: Portrait, prepared: Prepared) -> None:
    ready = RENDERER.prepare(portrait, crop_face(portrait, 0, 768), LOOK)
    frame = draw(ready, head=(10, 0, 0), jawOpen=0.5)
    assert frame.shape == (512, 512, 4)
    other = draw(prepared, head=(10, 0, 0), jawOpen=0.5)
    assert np.abs(frame.astype(int) - other).mean() < 5


def test_frames_are_the_same_bytes_in_any_thread_and_order(
    portrait: Portrait, crop: FaceCrop, prepared: Prepared
) -> None:
    poses = [
        {"jawOpen": i / 12, "head": (3 * i - 18, i, -i), "gaze": (2 * i, 5), "eyeBlinkLeft": i / 12}
        for i in range(12)
    ]
    moving = motion(*poses)
    serial = [frame.tobytes() for frame in RENDERER.render(prepared, moving, range(12))]
    assert len(set(serial)) == 12

    def one(index: int) -> bytes:
        return next(iter(RENDERER.render(prepared, moving, [index]))).tobytes()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, range(12))) == serial
    backwards = [f.tobytes() for f in RENDERER.render(prepared, moving, range(11, -1, -1))]
    assert backwards[::-1] == serial
    again = RENDERER.prepare(portrait, crop, LOOK)
    assert [f.tobytes() for f in RENDERER.render(again, moving, [5])] == serial[5:6]


def test_without_a_figure_the_picture_bends(portrait: Portrait, crop: FaceCrop) -> None:
    bare = replace(crop, matte=np.ones_like(crop.matte), matte_found=False)
    ready = RENDERER.prepare(portrait, bare, LOOK)
    rest, turned = RENDERER.render(ready, motion({}, {"head": (15, 5, 5)}), [0, 1])
    for corner in (np.s_[-60:, :60], np.s_[-60:, -60:]):  # far from the head all is still
        assert (rest[corner] == turned[corner]).all()
    assert (np.abs(rest.astype(int) - turned).max(2) > 10).mean() > 0.05


def test_a_cut_out_keeps_its_transparency(portrait: Portrait, crop: FaceCrop) -> None:
    rgba = crop.rgba.copy()
    rgba[..., 3] = (crop.matte > 0.5) * 255
    cut = replace(crop, rgba=rgba, matte=np.ones_like(crop.matte), matte_found=False)
    frame = draw(RENDERER.prepare(portrait, cut, replace(LOOK, alpha=True)), jawOpen=0.3)
    assert (frame[..., 3] == 0).mean() > 0.1
    opaque = draw(RENDERER.prepare(portrait, cut, LOOK), jawOpen=0.3)
    assert (opaque[frame[..., 3] == 0][:, :3] > 250).mean() > 0.9  # on white paper


def test_drawn_frames_redraw_mouth_and_eyes(portrait: Portrait, crop: FaceCrop) -> None:
    ready = RENDERER.prepare(portrait, crop, replace(LOOK, style="ink"))
    rest, speaking, winking = RENDERER.render(
        ready, motion({}, {"jawOpen": 0.8}, {"eyeBlinkLeft": 1.0}), range(3)
    )
    assert (np.abs(rest.astype(int) - speaking).max(2) > 60).sum() > 100
    assert (np.abs(rest.astype(int) - winking).max(2) > 60).sum() > 20
    background = crop.matte == 0
    far = background & (np.indices(background.shape)[1] < 40)
    assert (rest[far] == speaking[far]).all()
    # ink has two tones: what is drawn anew has them too
    mouth = speaking[..., :3][_around(crop.mesh[[61, 291, 0, 152], :2])]
    assert ((mouth < 60) | (mouth > 195)).mean() > 0.8


def _around(points: np.ndarray) -> tuple[slice, slice]:
    x0, y0 = points.min(0).astype(int)
    x1, y1 = points.max(0).astype(int)
    return slice(y0, y1), slice(x0, x1)


def test_lips_are_measured_in_eye_distances(prepared: Prepared) -> None:
    lips = RENDERER.lips(motion({}, {"jawOpen": 1.0}, {"jawOpen": 1.0, "mouthClose": 1.0}))
    assert lips.shape == (3, 40, 3) and lips.dtype == np.float32
    outer_right, outer_low, outer_left, outer_top = (0, 5, 10, 15)
    inner_low, inner_top = (25, 35)
    for frame in lips:
        assert frame[outer_right, 0] < -0.1 < 0.1 < frame[outer_left, 0]
        assert frame[outer_top, 1] < frame[outer_low, 1]
    gap = lips[:, inner_low, 1] - lips[:, inner_top, 1]
    assert gap[0] < 0.01 and gap[1] > 0.2 and gap[2] < 0.01


def test_kernels_compile_without_a_writable_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    from numba.core import caching

    from inference_server.renderers.mesh_warp.raster import compiled

    monkeypatch.setattr(caching.CompileResultCacheImpl, "_locator_classes", [])

    def twice(x):  # type: ignore[no-untyped-def]
        return x + x

    assert compiled(twice)(4) == 8
