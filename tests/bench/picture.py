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
from scipy.optimize import lsq_linear

from inference_server.datatypes import ARKIT_INDEX, ARKIT_NAMES, Look, Motion
from inference_server.errors import AnimatePortraitError
from inference_server.portrait import face_mesh
from inference_server.portrait.analysis import analyze
from inference_server.portrait.crop import crop_face
from inference_server.portrait.topology import (
    FACE_OVAL,
    LIP_INNER_LOWER,
    LIP_INNER_UPPER,
    LIP_OUTER_LOWER,
    LIP_OUTER_UPPER,
    RIGID,
)
from inference_server.renderers.mesh_warp import MeshWarp
from inference_server.renderers.mesh_warp.pose import CAMERA_DISTANCE, PIVOT
from inference_server.renderers.mesh_warp.renderer import Prepared

MEDIA = Path(__file__).parents[3] / "shared" / "media"
CLIPS = (
    "driving/woman_shake_nod_d3.mp4", "driving/face_wide_expressions_d0.mp4",
    "driving/woman_strong_expressions_d6.mp4", "driving/woman_singing_smile_d10.mp4",
    "driving/man_singing_d20.mp4", "driving/man_glasses_deadpan_d19.mp4",
    "driving/aoc_speech_pose_8s.mp4", "driving/katiehill_speech_pose_8s.mp4",
    "talking/may_5s_en.mp4", "talking/obama_weeklyaddress_library_5s_en.mp4",
    "talking/mead_w040_happy_l3_en.mp4", "talking/news_anchor_woman_7s_en.mp4",
)  # fmt: skip
SIZE = 384
LONGEST = 240  # frames of a clip that are considered
BANDS_DEG = (0, 5, 12, 20, 90)
_MOUTH = tuple(
    name for name in ARKIT_NAMES
    if name.startswith(("mouth", "jaw", "brow", "cheek", "nose")) and name != "mouthClose"
)  # fmt: skip
_LIDS = (("eyeBlinkRight", 159, 145, 33, 133), ("eyeBlinkLeft", 386, 374, 263, 362))


@dataclass(frozen=True)
class Score:
    """One frame against the real one."""

    turned: float  # deg from the portrait
    face: dict[str, tuple[float, float]]  # method -> PSNR dB, SSIM
    mouth: dict[str, tuple[float, float]]
    error: float  # mean distance of re-tracked points, % of the face's width


def frames_of(path: Path, count: int) -> list[np.ndarray]:
    """Evenly spaced frames (H, W, 3) RGB of the first seconds of a clip."""
    clip, frames = cv2.VideoCapture(str(path)), []
    while len(frames) < LONGEST:
        found, frame = clip.read()
        if not found:
            break
        frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    return [frames[k] for k in np.linspace(0, len(frames) - 1, count).astype(int)]


def track(tracker: FaceMesh, image: np.ndarray) -> np.ndarray | None:
    """(478, 3) px."""
    found = tracker.process(np.ascontiguousarray(image)).multi_face_landmarks
    if not found:
        return None
    height, width = image.shape[:2]
    return np.array([(p.x * width, p.y * height, p.z * width) for p in found[0].landmark])


def neutral_of(meshes: Sequence[np.ndarray | None]) -> int:
    """Index of the frame with shut lips, open eyes and the usual pose."""
    fits = [None if mesh is None else face_mesh.fit(mesh) for mesh in meshes]
    yaws = np.array([np.nan if fit is None else fit.rotation[0, 2] for fit in fits])
    middle = float(np.nanmedian(yaws))
    costs = []
    for fit, yaw in zip(fits, yaws, strict=True):
        if fit is None:
            costs.append(np.inf)
            continue
        gap = max(0.0, fit.canonical[14, 1] - fit.canonical[13, 1])
        lids = np.mean([fit.canonical[low, 1] - fit.canonical[up, 1] for _, up, low, *_ in _LIDS])
        costs.append(gap / 0.03 + abs(yaw - middle) / 0.2 - lids / 0.03)
    return int(np.argmin(costs))


def _turn(matrix: np.ndarray) -> np.ndarray:
    """Rotation vector (3,), degrees."""
    return np.degrees(cv2.Rodrigues(matrix)[0].ravel())


def fitted(prepared: Prepared, source: np.ndarray, mesh: np.ndarray) -> tuple[Motion, float]:
    """One frame of motion that brings the portrait to a mesh (478, 3), and degrees turned."""
    rig, before, now = prepared.rig, face_mesh.fit(source), face_mesh.fit(mesh)
    turn = _turn(now.rotation @ before.rotation.T)
    pivots = [fit.to_picture(PIVOT) for fit in (before, now)]
    shift = (pivots[1] - pivots[0])[:2] / before.scale
    z = CAMERA_DISTANCE * (1 - before.scale / now.scale)
    head = np.array([[-turn[1], -turn[0], turn[2], *shift, z]], np.float32)
    skin = np.ones(face_mesh.N_MESH, bool)
    skin[468:] = False
    skin[[p for rows in (_LIDS,) for row in rows for p in row[1:]]] = False
    # the renderer shuts the lips of the portrait before it does anything else
    delta = (now.canonical - before.canonical - rig.close)[skin, :2].ravel()
    trust = np.ones(face_mesh.N_MESH)
    trust[list(LIP_INNER_UPPER + LIP_INNER_LOWER)] = 12.0  # what is seen first
    trust[list(LIP_OUTER_UPPER + LIP_OUTER_LOWER)] = 5.0
    trust[list(FACE_OVAL)] = 0.3
    rows = np.repeat(trust[skin], 2)
    fields = []
    for name in _MOUTH:
        field = rig.basis[ARKIT_INDEX[name]].reshape(-1, 3)
        if name == "jawOpen":
            field = rig._open_jaw(rig.canonical + rig.close, 1.0)
        fields.append(field[skin, :2].ravel())
    # a little weight on small answers: many shapes look alike
    basis = np.concatenate([np.stack(fields, 1) * rows[:, None], 0.05 * np.eye(len(fields))])
    wanted = np.concatenate([delta * rows, np.zeros(len(fields))])
    weights = lsq_linear(basis, wanted, bounds=(0, 1)).x
    expression = np.zeros((1, 52), np.float32)
    expression[0, [ARKIT_INDEX[name] for name in _MOUTH]] = weights
    for name, up, low, a, b in _LIDS:
        aspects = [
            np.linalg.norm(fit.canonical[up, :2] - fit.canonical[low, :2])
            / np.linalg.norm(fit.canonical[a, :2] - fit.canonical[b, :2])
            for fit in (before, now)
        ]
        shut = (1 - aspects[1] / aspects[0]) / 0.75  # the detector never sees an eye quite shut
        expression[0, ARKIT_INDEX[name]] = np.clip(shut, 0, 1)
    still = np.zeros((1, 2), np.float32)
    return Motion(Fraction(25), expression, head, still), float(np.linalg.norm(turn))


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
    cv2.circle(mouth, tuple(int(v) for v in centre), int(0.26 * width), 1, -1)
    return face > 0, mouth > 0


def scores(path: Path, count: int, tracker: FaceMesh) -> list[Score]:
    """Every chosen frame of a clip but the portrait itself."""
    frames = frames_of(path, count)
    chosen = neutral_of([track(tracker, frame) for frame in frames])
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "neutral.png"
        Image.fromarray(frames[chosen]).save(picture)
        portrait = analyze(picture)
    crop = crop_face(portrait, 0, SIZE)
    look = Look(size=SIZE, style="photo", framing="crop", alpha=False, seed=0)
    renderer = MeshWarp()
    prepared = renderer.prepare(portrait, crop, look)
    flags = cv2.INTER_AREA | cv2.WARP_INVERSE_MAP
    real = [cv2.warpAffine(f, crop.to_picture, (SIZE, SIZE), flags=flags) for f in frames]
    source, static = track(tracker, real[chosen]), crop.rgba[..., :3].copy()
    found = []
    for k, target in enumerate(real):
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
    parser.add_argument("--clips", type=Path, nargs="+", default=[MEDIA / clip for clip in CLIPS])
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
