"""Does a face do what it is told? Every portrait, re-tracked by the mesh detector.

Each channel and each main ARKit shape is drawn at half and at full strength, and the detector looks
at the frame. The detector also placed the mesh that is moved, so that the test is partly circular;
but it knows nothing of what was asked for.

Portraits that the detector reads badly are seen a second time with the correction by hand that
`corrections/` holds for them.

    python -m tests.bench.obedience [--portraits FOLDER] [--only NAME ...]
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from mediapipe.python.solutions.face_mesh import FaceMesh

from inference_server.datatypes import ARKIT_INDEX, Look, Motion
from inference_server.errors import AnimatePortraitError
from inference_server.motion import channels
from inference_server.portrait import face_mesh
from inference_server.portrait.analysis import analyze
from inference_server.portrait.crop import crop_face
from inference_server.renderers.mesh_warp import MeshWarp

PORTRAITS = Path(__file__).parents[3] / "shared" / "media" / "portraits"
CORRECTIONS = Path(__file__).parent / "corrections"
SIZE = 384
TILTS_DEG = (-6.0, -3.0, 0.0, 3.0, 6.0)
LEAST_OPENING = 0.10  # face widths at jawOpen 1
MOST_SHUT = 0.45  # of the open eye's aspect at eyeBlink 1
_SIDES = ("Left", "Right")


@dataclass(frozen=True)
class Seen:
    """What the detector sees in one frame."""

    gap: float  # between the inner lips, face widths
    width: float  # of the mouth, face widths
    corners: float  # how far the corners lie above the seam, face widths
    eye_l: float  # height over width of the person's left eye
    eye_r: float
    brow: float  # above the eyes, face widths
    yaw: float  # deg, signs as in protocol.CHANNELS
    pitch: float
    roll: float


@dataclass(frozen=True)
class Order:
    """One thing that is asked for, and what should change."""

    name: str
    amount: float
    shows: str  # field of Seen

    def motion(self) -> Motion:
        """One frame."""
        still = Motion(
            Fraction(24), np.zeros((1, 52), np.float32), np.zeros((1, 6), np.float32),
            np.zeros((1, 2), np.float32),
        )  # fmt: skip
        if self.name in channels.measure(still):
            return channels.apply(still, {self.name: {0: self.amount}})
        expression = still.expression.copy()
        both = self.name not in ARKIT_INDEX
        for name in [self.name + side for side in _SIDES] if both else [self.name]:
            expression[0, ARKIT_INDEX[name]] = self.amount
        return Motion(still.fps, expression, still.head, still.gaze)


ORDERS = tuple(
    Order(name, amount, shows)
    for name, amounts, shows in (
        ("jawOpen", (0.25, 0.5, 1.0), "gap"),
        ("lip_open", (0.5, 1.0), "gap"),
        ("mouthLowerDown", (0.5, 1.0), "gap"),
        ("mouthUpperUp", (0.5, 1.0), "gap"),
        ("lip_width", (-1.0, -0.5, 0.5, 1.0), "width"),
        ("lip_round", (0.5, 1.0), "width"),
        ("mouthPucker", (0.5, 1.0), "width"),
        ("mouthFunnel", (0.5, 1.0), "width"),
        ("mouthStretch", (0.5, 1.0), "width"),
        ("smile", (-1.0, -0.5, 0.5, 1.0), "corners"),
        ("eyeBlink", (0.5, 1.0), "eye_l"),
        ("eyeBlinkLeft", (0.5, 1.0), "eye_l"),
        ("eyeBlinkRight", (0.5, 1.0), "eye_r"),
        ("eyeWide", (0.5, 1.0), "eye_l"),
        ("brow", (-1.0, -0.5, 0.5, 1.0), "brow"),
        ("head_yaw", (-20.0, -10.0, 10.0, 20.0), "yaw"),
        ("head_pitch", (-12.0, -6.0, 6.0, 12.0), "pitch"),
        ("head_roll", (-20.0, -10.0, 10.0, 20.0), "roll"),
    )
    for amount in amounts
)


def look_at(tracker: FaceMesh, frame: np.ndarray) -> Seen | None:
    """The face of an (H, W, 4) frame; None: the detector lost it.

    A drawing looks different to the detector when it is tilted a little: it is the median of
    several looks.
    """
    middle = (frame.shape[1] / 2, frame.shape[0] / 2)
    looks = []
    for tilt in TILTS_DEG:
        turn = cv2.getRotationMatrix2D(middle, -tilt, 1.0)
        turned = cv2.warpAffine(
            frame, turn, frame.shape[1::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
        )
        seen = _look(tracker, turned)
        if seen is not None:
            looks.append(replace(seen, roll=seen.roll - tilt))
    if not looks:
        return None
    return Seen(*np.median([astuple(look) for look in looks], axis=0))


def _look(tracker: FaceMesh, frame: np.ndarray) -> Seen | None:
    height, width = frame.shape[:2]
    faces = tracker.process(np.ascontiguousarray(frame[..., :3])).multi_face_landmarks
    if not faces:
        return None
    mesh = np.array([(p.x * width, p.y * height, p.z * width) for p in faces[0].landmark])
    fit = face_mesh.fit(mesh)
    points, turn = fit.canonical, fit.rotation

    def apart(a: int, b: int) -> float:
        return float(np.linalg.norm(points[a, :2] - points[b, :2]))

    return Seen(
        gap=float(points[14, 1] - points[13, 1]),
        width=apart(61, 291),
        corners=float(points[[13, 14], 1].mean() - points[[61, 291], 1].mean()),
        eye_l=apart(386, 374) / apart(263, 362),
        eye_r=apart(159, 145) / apart(33, 133),
        brow=float(points[[33, 133, 263, 362], 1].mean() - points[[105, 66, 334, 296], 1].mean()),
        yaw=float(np.degrees(np.arctan2(-turn[0, 2], turn[2, 2]))),
        pitch=float(np.degrees(np.arcsin(np.clip(turn[1, 2], -1, 1)))),
        roll=float(np.degrees(np.arctan2(turn[1, 0], turn[1, 1]))),
    )


def changes(path: Path, placed: Path | None, tracker: FaceMesh) -> Mapping[Order, float]:
    """How far each order changed what it should; eyes as a share of the open eye.

    `placed` is a correction by hand.
    """
    portrait = analyze(path, placed)
    crop = crop_face(portrait, 0, SIZE)
    renderer = MeshWarp()
    look = Look(size=SIZE, style="photo", framing="crop", alpha=False, seed=0)
    prepared = renderer.prepare(portrait, crop, look)

    def seen_of(order: Order) -> Seen | None:
        return look_at(tracker, next(iter(renderer.render(prepared, order.motion(), [0]))))

    rest = seen_of(Order("smile", 0.0, ""))
    found = {}
    for order in ORDERS:
        seen = seen_of(order)
        if seen is None or rest is None:
            found[order] = float("nan")
            continue
        now, before = getattr(seen, order.shows), getattr(rest, order.shows)
        found[order] = now / before if order.shows.startswith(("eye", "width")) else now - before
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--portraits", type=Path, default=PORTRAITS)
    parser.add_argument("--only", nargs="+", default=[""], help="parts of file names")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    tracker = FaceMesh(static_image_mode=True, refine_landmarks=True)
    table: dict[str, Mapping[Order, float]] = {}
    corrected: dict[str, Mapping[Order, float]] = {}
    for path in sorted(arguments.portraits.iterdir()):
        if any(part in path.name for part in arguments.only):
            try:
                table[path.stem] = changes(path, None, tracker)
                placed = CORRECTIONS / f"{path.stem}.json"
                if placed.exists():
                    corrected[path.stem] = changes(path, placed, tracker)
                print(path.name, flush=True)
            except AnimatePortraitError as problem:
                print(f"{path.name}: {problem}")
    report(table)
    if corrected:
        print("\nCorrected by hand:")
        report({**table, **corrected})


def report(table: Mapping[str, Mapping[Order, float]]) -> None:
    """Print one row per portrait, one per order, and how many portraits reach the bar."""
    by_name = {(order.name, order.amount): order for order in ORDERS}
    columns = [
        ("jawOpen", 0.5), ("jawOpen", 1.0), ("eyeBlinkLeft", 0.5), ("eyeBlinkLeft", 1.0),
        ("eyeBlinkRight", 1.0), ("lip_round", 1.0), ("lip_width", 1.0), ("smile", 1.0),
        ("head_yaw", -10.0), ("head_yaw", 10.0), ("head_yaw", 20.0), ("head_pitch", -12.0),
        ("head_pitch", 12.0),
    ]  # fmt: skip
    print(" " * 34 + " ".join(f"{name[:7]:>7s}" for name, _ in columns))
    print(" " * 34 + " ".join(f"{amount:7g}" for _, amount in columns))
    for portrait, found in table.items():
        cells = " ".join(f"{found[by_name[column]]:7.2f}" for column in columns)
        print(f"{portrait[:33]:34s}{cells}")
    print("\norder                  shows     median     p10     p90   lost")
    for order in ORDERS:
        values = np.array([found[order] for found in table.values()])
        lost = int(np.isnan(values).sum())
        low, middle, high = np.nanpercentile(values, [10, 50, 90])
        named = f"{order.name} {order.amount:g}"
        print(f"{named:22s} {order.shows:8s}{middle:8.3f}{low:8.3f}{high:8.3f}{lost:6d}")
    opened = [found[by_name["jawOpen", 1.0]] >= LEAST_OPENING for found in table.values()]
    shut = [
        max(found[by_name["eyeBlinkLeft", 1.0]], found[by_name["eyeBlinkRight", 1.0]]) < MOST_SHUT
        for found in table.values()
    ]
    print(f"\nmouth opens by {LEAST_OPENING} face widths: {sum(opened)} of {len(opened)}")
    print(f"both lids shut to {MOST_SHUT} of their aspect: {sum(shut)} of {len(shut)}")


if __name__ == "__main__":
    main()
