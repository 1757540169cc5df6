"""Self re-enactment: a face is moved by its own landmarks and compared with what it really did.

The most neutral of the chosen frames of a clip is the portrait. Every other frame is drawn from it
with a motion fitted to that frame's own mesh, beside two rivals that see the same landmarks: the
portrait as it is, and the portrait under the best similarity transform.

    python -m tests.bench.picture [--clips FILE ...] [--frames 10]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from mediapipe.python.solutions.face_mesh import FaceMesh
from PIL import Image

from inference_server.datatypes import ARKIT_INDEX, Look, Motion
from inference_server.errors import AnimatePortraitError
from inference_server.portrait import face_mesh
from inference_server.portrait.analysis import analyze
from inference_server.portrait.crop import crop_face
from inference_server.portrait.topology import (
    EYE_LEFT_RIM,
    EYE_RIGHT_RIM,
    FACE_OVAL,
    IRIS_LEFT,
    IRIS_RIGHT,
    LID_LEFT_LOWER,
    LID_LEFT_UPPER,
    LID_RIGHT_LOWER,
    LID_RIGHT_UPPER,
    RIGID,
)
from inference_server.renderers.mesh_warp import MeshWarp
from inference_server.renderers.mesh_warp.eyes import BALL_RADIUS
from inference_server.renderers.mesh_warp.pose import (
    CAMERA_DISTANCE,
    PITCH_GAIN,
    PIVOT,
    YAW_GAIN,
)
from inference_server.renderers.mesh_warp.prepared import Prepared
from inference_server.renderers.mesh_warp.rig import SKIN

MEDIA = Path(__file__).parents[3] / "shared" / "media"
FOLDERS = ("driving", "talking")
SIZE = 384
LONGEST = 240  # frames of a clip that are considered
EVERY = 3  # of which the neutral one is chosen
TRACKED_SIDE = 640  # px
BANDS_DEG = (0, 5, 12, 20, 90)
SHUT_SEEN = 0.62  # share of its height that an eye seems to lose when it shuts
_LIDS = (("eyeBlinkRight", 159, 145, 33, 133), ("eyeBlinkLeft", 386, 374, 263, 362))
_IS_JAW = (np.arange(52) == ARKIT_INDEX["jawOpen"]).astype(np.float32)
_CHIN = [152, 148, 377, 176, 400, 199, 200, 175]  # what falls with the jaw alone
_NOT_SKIN = list(range(face_mesh.N_MESH - 10, face_mesh.N_MESH)) + list(
    EYE_RIGHT_RIM
    + EYE_LEFT_RIM
    + LID_RIGHT_UPPER
    + LID_RIGHT_LOWER
    + LID_LEFT_UPPER
    + LID_LEFT_LOWER
)


@dataclass(frozen=True)
class Score:
    """One frame against the real one."""

    turned: float  # deg from the portrait
    face: dict[str, tuple[float, float]]  # method -> PSNR dB, SSIM
    mouth: dict[str, tuple[float, float]]
    error: float  # mean distance of re-tracked points, % of the face's width


def frames_of(path: Path) -> list[np.ndarray]:
    """Frames (H, W, 3) RGB of the first seconds of a clip, EVERY apart."""
    clip, frames = cv2.VideoCapture(str(path)), []
    for k in range(LONGEST):
        found, frame = clip.read()
        if not found:
            break
        if k % EVERY == 0:
            frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    return frames


def track(tracker: FaceMesh, image: np.ndarray) -> np.ndarray | None:
    """(478, 3) px."""
    shrink = min(1.0, TRACKED_SIDE / max(image.shape))
    if shrink < 1:
        image = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    found = tracker.process(np.ascontiguousarray(image)).multi_face_landmarks
    if not found:
        return None
    height, width = np.array(image.shape[:2]) / shrink
    return np.array([(p.x * width, p.y * height, p.z * width) for p in found[0].landmark])


def _aspect(points: np.ndarray, up: int, low: int, a: int, b: int) -> float:
    """Height of an eye over its width, of a canonical mesh."""
    across = np.linalg.norm(points[a, :2] - points[b, :2])
    return float(np.linalg.norm(points[up, :2] - points[low, :2]) / across)


def neutral_of(meshes: Sequence[np.ndarray | None]) -> int:
    """Index of the frame with shut lips of usual width, open eyes and the usual pose."""
    found = [k for k, mesh in enumerate(meshes) if mesh is not None]
    fits = [face_mesh.fit(mesh) for mesh in meshes if mesh is not None]
    points = np.array([fit.canonical for fit in fits])
    turned = np.array([fit.rotation[:2, 2] for fit in fits])
    gap = np.maximum(points[:, 14, 1] - points[:, 13, 1], 0)
    width = points[:, 291, 0] - points[:, 61, 0]
    lids = np.array([np.mean([_aspect(one, *lid[1:]) for lid in _LIDS]) for one in points])
    cost = gap / 0.03 + np.abs(width - np.median(width)) / 0.05
    cost += np.linalg.norm(turned - np.median(turned, 0), axis=1) / np.radians(15)
    cost += np.maximum(np.percentile(lids, 70) - lids, 0) / 0.05
    return found[int(cost.argmin())]


def _turn(matrix: np.ndarray) -> np.ndarray:
    """Rotation vector (3,), degrees."""
    return np.degrees(cv2.Rodrigues(matrix)[0].ravel())


def fitted(prepared: Prepared, source: np.ndarray, mesh: np.ndarray) -> tuple[Motion, float]:
    """One frame of motion that brings the portrait to a mesh (478, 3), and degrees turned.

    What the jaw and the lids do is told by their shapes, for what they bare is painted; all else
    is passed on point by point.
    """
    rig, before, now = prepared.rig, face_mesh.fit(source), face_mesh.fit(mesh)
    turn = _turn(now.rotation @ before.rotation.T)
    pivots = [fit.to_picture(PIVOT) for fit in (before, now)]
    shift = (pivots[1] - pivots[0])[:2] / before.scale
    z = CAMERA_DISTANCE * (1 - before.scale / now.scale)
    angles = -turn[1] / YAW_GAIN, -turn[0] / PITCH_GAIN, turn[2]
    head = np.array([[*angles, *shift, z]], np.float32)
    wanted = now.canonical - before.canonical
    fallen = (
        rig.expression(_IS_JAW, np.zeros(2))[_CHIN]
        - rig.expression(0 * _IS_JAW, np.zeros(2))[_CHIN]
    )
    expression = np.zeros((1, 52), np.float32)
    jaw = (wanted[_CHIN] * fallen).sum() / (fallen**2).sum()
    expression[0, ARKIT_INDEX["jawOpen"]] = np.clip(jaw, 0, 1)
    for name, *lid in _LIDS:
        shut = 1 - _aspect(now.canonical, *lid) / _aspect(before.canonical, *lid)
        # the detector never sees an eye quite shut
        expression[0, ARKIT_INDEX[name]] = np.clip(shut / SHUT_SEEN, 0, 1)
    gaze = np.array([_gaze(now.canonical) - _gaze(before.canonical)], np.float32)
    skin = wanted - rig.expression(expression[0] * _IS_JAW, np.zeros(2))
    skin[_NOT_SKIN] = 0
    native = {SKIN: skin[None].astype(np.float32)}
    return Motion(Fraction(25), expression, head, gaze, native), float(np.linalg.norm(turn))


def _gaze(points: np.ndarray) -> np.ndarray:
    """(2,) deg that the eyes of a canonical mesh look to the right and up, from the irises."""
    looks = []
    for iris, (_, _, _, a, b) in ((IRIS_RIGHT, _LIDS[0]), (IRIS_LEFT, _LIDS[1])):
        width = np.linalg.norm(points[a, :2] - points[b, :2])
        looks.append((points[iris[0], :2] - points[[a, b], :2].mean(0)) / width)
    moved = np.mean(looks, axis=0) * [1, -1] / BALL_RADIUS
    return np.degrees(np.arcsin(np.clip(moved, -0.9, 0.9)))


def psnr_ssim(made: np.ndarray, real: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """Over the pixels of a mask; SSIM after Wang 2004 on luma."""
    error = ((made.astype(float) - real) ** 2)[mask].mean()
    x, y = (cv2.cvtColor(i, cv2.COLOR_RGB2GRAY).astype(np.float64) for i in (made, real))

    def blur(image: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(image, (11, 11), 1.5)

    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    c1, c2 = 6.5025, 58.5225
    ssim = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return 10 * np.log10(255**2 / max(error, 1e-9)), float(ssim[mask].mean())


def _masks(mesh: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    face, mouth = np.zeros(shape[:2], np.uint8), np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(face, [np.round(mesh[list(FACE_OVAL), :2]).astype(np.int32)], 1)
    centre, width = mesh[[61, 291, 0, 17], :2].mean(0), np.linalg.norm(mesh[454] - mesh[234])
    axes = (int(0.26 * width), int(0.21 * width))
    cv2.ellipse(mouth, tuple(int(v) for v in centre), axes, 0, 0, 360, 1, -1)
    return face > 0, mouth > 0


def scores(path: Path, count: int, tracker: FaceMesh) -> list[Score]:
    """Every chosen frame of a clip but the portrait itself."""
    frames = frames_of(path)
    meshes = [track(tracker, frame) for frame in frames]
    if all(mesh is None for mesh in meshes):
        return []
    chosen = neutral_of(meshes)
    neutral = frames[chosen]
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "neutral.png"
        Image.fromarray(neutral).save(picture)
        portrait = analyze(picture)
    crop = crop_face(portrait, 0, SIZE)
    look = Look(size=SIZE, style="photo", framing="crop", alpha=False, seed=0)
    renderer = MeshWarp()
    prepared = renderer.prepare(portrait, crop, look)
    flags = cv2.INTER_AREA | cv2.WARP_INVERSE_MAP
    static = crop.rgba[..., :3].copy()
    source = track(tracker, static)
    found = []
    for k in np.linspace(0, len(frames) - 1, count).astype(int):
        target = cv2.warpAffine(frames[k], crop.to_picture, (SIZE, SIZE), flags=flags)
        mesh = None if k == chosen else track(tracker, target)
        if mesh is None or source is None:
            continue
        motion, turned = fitted(prepared, source, mesh)
        made = next(iter(renderer.render(prepared, motion, [0])))[..., :3].copy()
        flat = source[list(RIGID)] * [1, 1, 0], mesh[list(RIGID)] * [1, 1, 0]
        scale, rotation, move = face_mesh.similarity(*flat)
        affine = np.column_stack([scale * rotation[:2, :2], move[:2]])
        border = cv2.BORDER_REPLICATE
        moved = cv2.warpAffine(static, affine, (SIZE, SIZE), borderMode=border)
        face, mouth = _masks(mesh, target.shape)
        methods = {"static": static, "similarity": moved, "mesh_warp": made}
        seen = track(tracker, made)
        width = float(np.linalg.norm(mesh[454, :2] - mesh[234, :2]))
        error = np.nan
        if seen is not None:
            error = 100 * np.linalg.norm((seen - mesh)[:468, :2], axis=1).mean() / width
        found.append(
            Score(
                turned,
                {name: psnr_ssim(image, target, face) for name, image in methods.items()},
                {name: psnr_ssim(image, target, mouth) for name, image in methods.items()},
                float(error),
            )
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    clips = [path for folder in FOLDERS for path in sorted((MEDIA / folder).glob("*.mp4"))]
    parser.add_argument("--clips", type=Path, nargs="+", default=clips)
    parser.add_argument("--frames", type=int, default=10)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    tracker = FaceMesh(static_image_mode=True, refine_landmarks=True)
    everything: list[Score] = []
    methods = ("static", "similarity", "mesh_warp")
    print(f"{'clip: PSNR dB / SSIM':40s}" + "".join(f"{m + ' face':>18s}" for m in methods))
    print(" " * 40 + "".join(f"{m + ' mouth':>18s}" for m in methods))

    def row(named: str, some: list[Score]) -> None:
        for region in ("face", "mouth"):
            cells = ""
            for method in methods:
                mean = np.mean([getattr(score, region)[method] for score in some], axis=0)
                cells += f"{mean[0]:11.2f} /{mean[1]:5.3f}"
            print(f"{named if region == 'face' else '':40s}{cells}", flush=True)

    for path in arguments.clips:
        try:
            some = scores(path, arguments.frames, tracker)
        except AnimatePortraitError as problem:
            print(f"{path.name}: {problem}")
            continue
        if some:
            row(path.stem, some)
            everything += some
    row("mean of all frames", everything)
    for low, high in zip(BANDS_DEG[:-1], BANDS_DEG[1:], strict=True):
        some = [score for score in everything if low <= score.turned < high]
        if some:
            error = np.nanmean([score.error for score in some])
            print(f"turned {low}-{high} deg: {len(some)} frames, points off by {error:.2f} %")


if __name__ == "__main__":
    main()
