"""The renderer that draws with LivePortrait's networks (Guo et al. 2024)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inference_server import registry
from inference_server.datatypes import FaceCrop, Look, Motion, Portrait
from inference_server.device import choose, spending_memory
from inference_server.home import home
from inference_server.image_io import over_white
from inference_server.models.live_portrait import released
from inference_server.models.live_portrait.released import Networks
from inference_server.motion import channels

from . import directions
from .crop import SOURCE_FRAMING, Ratios, crop_matrix, ratios
from .keypoints import Pose, degrees, pose_of
from .paste import paste_back, to_bytes

Image = npt.NDArray[np.uint8]

NATIVE = "live_portrait"  # Motion.native: (N, 63) shifts of the keypoints of the source
_CROP, _INPUT = 512, 256  # px
_SIDES = (234, 454)  # of the face in the mesh
_CORNERS = (61, 291)  # of the mouth


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A portrait as the networks see it, and where it lies in the frame."""

    networks: Networks
    device: str
    volume: Tensor  # (1, 32, 16, 64, 64)
    pose: Pose
    angles: tuple[float, float, float]  # pitch, yaw, roll, degrees
    ratios: Ratios
    face_width: float  # in units of the crop, half of which is 1
    mouth_width: float
    frame: Image  # (H, W, 3) at rest, not in any style
    alpha: npt.NDArray[np.uint8]  # (H, W)
    to_frame: npt.NDArray[np.float64]  # (2, 3) px of the 512 crop -> px of the frame
    mesh: npt.NDArray[np.float32]  # (478, 2) px of the frame, at rest
    look: Look
    style: registry.Style
    tuning: dict[str, Any]


class LivePortrait:
    """See registry.Renderer. Its weights are the user's: `models import live_portrait`."""

    name = "live_portrait"
    temporal_radius = 0
    parallel = False

    @property
    def version(self) -> str:
        """Of the code and of the weights.

        Raises:
            WeightsMissing: none are imported.
        """
        return f"1 {released.digest(folder())[:16]}"

    def prepare(self, portrait: Portrait, face_crop: FaceCrop, look: Look) -> Prepared:
        """Look at the portrait once: volume, keypoints, ratios.

        Raises:
            WeightsMissing, WeightsCorrupt: the networks were not imported, or changed since.
        """
        device = choose()
        networks = _networks(released.digest(folder()), device)
        mesh = face_crop.mesh[:, :2].astype(np.float64)
        in_picture = mesh @ face_crop.to_picture[:, :2].T + face_crop.to_picture[:, 2]
        to_crop = crop_matrix(in_picture, _CROP, SOURCE_FRAMING)
        crop = cv2.warpAffine(over_white(portrait.rgba), to_crop, (_CROP, _CROP))
        small = cv2.resize(crop, (_INPUT, _INPUT), interpolation=cv2.INTER_AREA)
        picture = torch.from_numpy(small.transpose(2, 0, 1)[None] / np.float32(255)).to(device)
        with torch.inference_mode(), spending_memory(device):
            volume = networks.appearance(picture)
            info = {name: t.cpu().numpy() for name, t in networks.motion(picture).items()}
        seen = in_picture @ to_crop[:, :2].T + to_crop[:, 2]
        frame, alpha, from_picture = _frame(portrait, face_crop, look)
        style = registry.load(registry.STYLES, look.style)
        placed = in_picture @ from_picture[:, :2].T + from_picture[:, 2]
        scale = look.size / _CROP
        tuning = {**look.params, **style.tuning(frame, scale, None, look.params)}
        grain = style.grain(frame, scale, look.seed, tuning)
        return Prepared(
            networks=networks,
            device=device,
            volume=volume,
            pose=pose_of(info)[0],
            angles=(_angle(info["pitch"]), _angle(info["yaw"]), _angle(info["roll"])),
            ratios=ratios(seen),
            face_width=_distance(seen, _SIDES) / (_CROP / 2),
            mouth_width=_distance(seen, _CORNERS) / (_CROP / 2),
            frame=frame,
            alpha=alpha,
            to_frame=_after(from_picture, cv2.invertAffineTransform(to_crop)),
            mesh=placed.astype(np.float32),
            look=look,
            style=style,
            tuning=tuning if grain is None else {**tuning, "grain": grain},
        )

    def layers(self, look: Look) -> tuple[str, ...]:
        """None: a generated frame is one piece."""
        return ()

    def render(self, prepared: Prepared, motion: Motion, frames: Sequence[int]) -> Iterator[Image]:
        """(h, w, 4) uint8 straight-alpha RGBA for each index, in order."""
        for frame in frames:
            points = driving_keypoints(prepared, motion, frame)
            drawn = paste_back(_draw(prepared, points), prepared.frame, prepared.to_frame)
            styled = _styled(prepared, drawn)
            yield np.dstack([styled, prepared.alpha])

    def landmarks(
        self, prepared: Prepared, motion: Motion, frames: Sequence[int]
    ) -> npt.NDArray[np.float32]:
        """(len(frames), 478, 2) mesh points in px of the frame, moved as the keypoints' mean is.

        The networks do not say where a mesh point goes; head motion is followed, lips are not.
        """
        rest = prepared.pose.transformed()
        points = np.empty((len(frames), len(prepared.mesh), 2), np.float32)
        pixels = prepared.to_frame[:, :2] * (_CROP / 2)
        for k, frame in enumerate(frames):
            moved = driving_keypoints(prepared, motion, frame) - rest
            points[k] = prepared.mesh + moved.mean(0)[:2] @ pixels.T
        return points


def folder() -> Path:
    """Where the imported weights lie."""
    return home() / "models" / LivePortrait.name


@lru_cache(maxsize=1)
def _networks(digest: str, device: str) -> Networks:
    """The imported networks; `digest` makes newly imported ones load."""
    del digest
    networks = released.load(folder())
    for net in networks.by_name.values():
        net.to(device)
    networks.generator.fold()
    return networks


def driving_keypoints(prepared: Prepared, motion: Motion, frame: int) -> npt.NDArray[np.float32]:
    """(K, 3) where the keypoints are to be: pose, expression, lids, lips, stitched."""
    source = prepared.pose.transformed()
    if NATIVE in motion.native:
        driving = source + motion.native[NATIVE][frame].reshape(source.shape)
        return _stitched(prepared, source, driving)
    here = slice(frame, frame + 1)
    one = Motion(motion.fps, motion.expression[here], motion.head[here], motion.gaze[here])
    values = {name: float(curve[0]) for name, curve in channels.measure(one).items()}
    driving = directions.posed(
        prepared.pose,
        prepared.angles,
        motion.head[frame],
        directions.expression(values),
        prepared.face_width,
    )
    driving = driving + _lids(prepared, source, values) + _lips(prepared, source, values)
    return _stitched(prepared, source, driving)


def _angle(logits: npt.NDArray[np.floating]) -> float:
    return float(degrees(logits).item())


def _lids(
    prepared: Prepared, source: npt.NDArray[np.floating], values: dict[str, float]
) -> npt.NDArray[np.floating]:
    """The eye network knows one target for both eyes: each side of the face takes its own."""
    now = prepared.ratios
    targets = directions.lid_ratios(now, values["eye_open_r"], values["eye_open_l"])
    left, right = (
        _asked(prepared, prepared.networks.eyes, source, now.left_eye, now.right_eye, target)
        for target in targets
    )
    return np.where(prepared.pose.keypoints[:, :1] < 0, left, right)


def _lips(
    prepared: Prepared, source: npt.NDArray[np.floating], values: dict[str, float]
) -> npt.NDArray[np.floating]:
    target = directions.lip_ratio(values["lip_open"], prepared.face_width, prepared.mouth_width)
    return _asked(prepared, prepared.networks.lips, source, prepared.ratios.lips, target)


def _asked(
    prepared: Prepared, net: torch.nn.Module, source: npt.NDArray[np.floating], *numbers: float
) -> npt.NDArray[np.float32]:
    """(K, 3) what a retargeting network adds to the keypoints."""
    row = np.concatenate([source.ravel(), numbers]).astype(np.float32)
    with torch.inference_mode():
        shift = net(torch.from_numpy(row)[None].to(prepared.device))
    return shift.cpu().numpy().reshape(source.shape)


def _stitched(
    prepared: Prepared, source: npt.NDArray[np.floating], driving: npt.NDArray[np.floating]
) -> npt.NDArray[np.float32]:
    """The keypoints moved so that neck and shoulders fit their surroundings."""
    row = np.concatenate([source.ravel(), driving.ravel()]).astype(np.float32)
    with torch.inference_mode():
        answer = prepared.networks.stitching(torch.from_numpy(row)[None].to(prepared.device))
    shift = answer.cpu().numpy().ravel()
    stitched = driving + shift[:-2].reshape(source.shape)
    stitched[:, :2] += shift[-2:]
    return stitched.astype(np.float32)


def _draw(prepared: Prepared, driving: npt.NDArray[np.float32]) -> Image:
    """(512, 512, 3) the crop with the face at these keypoints."""
    device = prepared.device
    source = prepared.pose.transformed().astype(np.float32)
    with torch.inference_mode(), spending_memory(device):
        warped = prepared.networks.warper(
            prepared.volume,
            torch.from_numpy(driving)[None].to(device),
            torch.from_numpy(source)[None].to(device),
        )
        picture = prepared.networks.generator(warped.features)
    drawn = to_bytes(picture.float().cpu().numpy())[0]
    if len(drawn) != _CROP:
        drawn = cv2.resize(drawn, (_CROP, _CROP), interpolation=cv2.INTER_CUBIC)
    return drawn


def _styled(prepared: Prepared, drawn: Image) -> Image:
    """The frame in the style of the look, on the one grain of all frames."""
    style, scale = prepared.style, prepared.look.size / _CROP
    plate = style.plate(drawn, scale, prepared.look.seed, prepared.tuning)
    return style.develop(plate, scale, prepared.tuning)


def _frame(
    portrait: Portrait, face_crop: FaceCrop, look: Look
) -> tuple[Image, npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """The frame at rest (H, W, 3), its alpha (H, W), and picture px -> frame px."""
    height, width = portrait.rgba.shape[:2]
    side = face_crop.rgba.shape[0]
    if look.framing == "picture":
        scale = look.size / max(height, width)
        size = (max(2, round(width * scale)), max(2, round(height * scale)))
        from_picture = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2]])
        frame = cv2.resize(over_white(portrait.rgba), size, interpolation=cv2.INTER_AREA)
    else:
        size = (look.size, look.size)
        zoom = look.size / side
        scaling = np.array([[zoom, 0, (zoom - 1) / 2], [0, zoom, (zoom - 1) / 2]])
        from_picture = _after(scaling, cv2.invertAffineTransform(face_crop.to_picture))
        frame = cv2.resize(over_white(face_crop.rgba), size, interpolation=cv2.INTER_AREA)
    alpha = np.full(size[::-1], 255, np.uint8)
    if look.alpha:
        matte = (face_crop.matte * 255).astype(np.uint8)
        to_frame = _after(from_picture, face_crop.to_picture)
        alpha = cv2.warpAffine(matte, to_frame, size)
    return frame, alpha, from_picture


def _after(
    last: npt.NDArray[np.float64], first: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """(2, 3) the affine that does `first`, then `last`."""
    return (np.vstack([last, [0, 0, 1]]) @ np.vstack([first, [0, 0, 1]]))[:2]


def _distance(points: npt.NDArray[np.float64], pair: tuple[int, int]) -> float:
    return float(np.hypot(*(points[pair[0]] - points[pair[1]])))
