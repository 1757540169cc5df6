"""The one place that joins the parts: a shot spec becomes a take."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from . import __version__, checkpoints, protocol, registry
from .cache import Cache
from .datatypes import AudioRange, FaceCrop, Look, Motion, Portrait, ShotSpec
from .drawing import Drawing
from .events import FramesReady, OnEvent
from .home import home
from .keys import MOTION_PARAMS, frame_keys, look_key, rounded
from .motion import closures
from .parts import Parts
from .performance import Performance, ahead, perform
from .portrait import crop, manual
from .portrait.topology import IBUG_68, N_MESH
from .reuse import plan_frames, rows_from_base
from .stages import Stages
from .take_folder import TakeFolder, check_out_dir, new_npz, writing
from .takes import BaseTake, Take, frame_size


def render(
    spec: ShotSpec,
    on_event: OnEvent = lambda event: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Take:
    """Make the take of a shot; see `Studio.render`."""
    return Studio().render(spec, on_event, cancelled)


def analyze(image: Path, landmarks: Path | None = None) -> Portrait:
    """Find the faces of a picture; see `Studio.analyze`."""
    return Studio().analyze(image, landmarks)


def analysis_to_json(portrait: Portrait) -> dict[str, Any]:
    """What `analyze` answers."""
    height, width = portrait.rgba.shape[:2]
    faces = [
        {
            "box": np.round(face.box.astype(float), 2).tolist(),
            "score": round(float(face.score), 4),
            "source": face.source,
            "landmarks": np.round(face.landmarks.astype(float), 2).tolist(),
        }
        for face in portrait.faces
    ]
    return {"width": width, "height": height, "kind": portrait.kind, "faces": faces}


def correction_to_json(portrait: Portrait) -> dict[str, Any]:
    """The same with the contours of every face, as a file of hand-placed points has them."""
    height, width = portrait.rgba.shape[:2]
    faces = [
        manual.to_json(face, crop.settled(portrait, index), width, height)
        for index, face in enumerate(portrait.faces)
    ]
    return {**analysis_to_json(portrait), "faces": faces}


class Studio:
    """Renders shots and keeps what the next one may need; for one thread at a time."""

    def __init__(self, cache: Cache | None = None) -> None:
        self._parts = Parts(cache or Cache(home() / "cache"))
        cv2.setNumThreads(1)  # frames are drawn in parallel; sums must not depend on a thread count

    def forget(self) -> None:
        """Drop what is kept in memory."""
        self._parts.forget()

    def analyze(
        self,
        image: Path,
        landmarks: Path | None = None,
        on_event: OnEvent = lambda event: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Portrait:
        """Find the faces of a picture.

        Raises:
            ImageUnreadable, NoFaceFound, Cancelled.
        """
        clock = Stages(on_event, cancelled)
        with clock.stage("portrait"):
            return self._parts.portrait(image.absolute(), landmarks, cancelled)

    def render(self, spec: ShotSpec, on_event: OnEvent, cancelled: Callable[[], bool]) -> Take:
        """Make the take of a shot in `spec.out_dir`.

        A folder that already holds this take is left as it is, and nothing is drawn.

        Args:
            on_event: told what happens, from this thread.
            cancelled: asked between steps and between frames, from several threads.

        Raises:
            AnimatePortraitError: any of its kinds; no `take.json` is left behind.
        """
        stages = Stages(on_event, cancelled)
        check_out_dir(spec.out_dir)
        shot = self._shot(spec, stages)
        folder = TakeFolder(spec.out_dir, shot.keys, shot.renderer.layers(shot.look))
        finished = folder.finished()
        if finished is not None:
            every = tuple(range(finished.n_frames))
            return dataclasses.replace(finished, rendered=(), reused=every)
        base = BaseTake(spec.base_take)
        if base.warning:
            stages.warn(base.warning)
        try:
            return self._draw(shot, folder, base, stages)
        except BaseException:
            folder.abandon()
            raise

    def speak(
        self, audio: AudioRange, fps: Fraction, seed: int, params: Mapping[str, Any]
    ) -> tuple[Motion, tuple[str, ...]]:
        """The motion of a stretch of sound, without a portrait and without edits; and warnings.

        Raises:
            AudioUnreadable.
        """
        spoken, _ = self._parts.spoken(audio, fps, None, seed, params, lambda: False)
        return rounded(closures.enforce(spoken)), spoken.warnings

    def _shot(self, spec: ShotSpec, stages: Stages) -> _Shot:
        """Everything that is known before a frame is drawn."""
        look = look_of(spec)
        with stages.stage("portrait"):
            portrait = self._parts.portrait(spec.image, spec.landmarks, stages.cancelled)
            stages.check()
            face_crop = self._parts.face_crop(portrait, spec.face_index, spec.size)
        with stages.stage("speech"):
            spoken, motion_source = self._parts.spoken(
                spec.audio, spec.fps, spec.n_frames, spec.seed, spec.params, stages.cancelled,
                spec.lead, spec.words, stages.telling("speech"),
            )  # fmt: skip
            for warning in spoken.warnings:
                stages.warn(warning)
        with stages.stage("motion"):
            renderer = registry.load(registry.RENDERERS, spec.renderer)
            style = registry.load(registry.STYLES, spec.style)
            performance = perform(spec, ahead(spoken, spec.lead), stages.warn)
            of_look = look_key(face_crop.key, renderer, style, look)
            return _Shot(
                spec=spec,
                portrait=portrait,
                face_crop=face_crop,
                look=look,
                look_key=of_look,
                renderer=renderer,
                performance=performance,
                keys=frame_keys(of_look, performance.motion, renderer.temporal_radius),
                versions={
                    "animate_portrait": __version__,
                    "python": platform.python_version(),
                    "renderer": f"{renderer.name} {renderer.version}",
                    "style": f"{style.name} {style.version}",
                    "motion_source": motion_source,
                },
            )

    def _draw(self, shot: _Shot, folder: TakeFolder, base: BaseTake, stages: Stages) -> Take:
        """From a shot to a finished folder."""
        motion = shot.performance.motion
        with stages.stage("prepare"):
            kept = folder.kept()
            linked, twins = plan_frames(shot.keys, kept, base)
            landmarks = rows_from_base(base, shot.keys, "landmarks.npz", "mesh")
            lips = rows_from_base(base, shot.keys, "motion.npz", "lips")
            prepared = None
            if twins or landmarks.missing:
                prepared = self._parts.prepared(
                    shot.look_key, shot.renderer, shot.portrait, shot.face_crop, shot.look
                )
            stages.check()
            folder.create()
        with stages.clock("render"):
            for frame, source in linked.items():
                stages.check()
                folder.link(frame, source)
            if linked or kept:
                stages.on_event(FramesReady(tuple(sorted({*linked, *kept}))))
            if twins:
                drawing = Drawing(shot.renderer, prepared, motion, shot.look.alpha, folder, twins)
                drawing.run(stages.on_event, stages.cancelled)
        with stages.stage("finish"):
            mesh = landmarks.blocks(lambda at: shot.renderer.landmarks(prepared, motion, at))
            heeded = stages.heeding("finish", mesh, landmarks.n_blocks)
            _save_landmarks(folder, heeded, len(shot.keys))
            mouths = np.concatenate(list(lips.blocks(lambda at: _lips(_only(motion, at)))))
            with new_npz(folder.path / "motion.npz") as file:
                for name, array in motion_arrays(motion, mouths).items():
                    file.write(name, array)
        take = _take(shot, folder, sorted(twins), stages)
        stages.check()
        folder.finish(take, stages.check)
        return take


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Shot:
    """A shot that is ready to be drawn."""

    spec: ShotSpec
    portrait: Portrait
    face_crop: FaceCrop
    look: Look
    look_key: str
    renderer: registry.Renderer
    performance: Performance
    keys: tuple[str, ...]
    versions: Mapping[str, str]


def look_of(spec: ShotSpec) -> Look:
    """How the frames of a shot are to look, with defaults for what the spec leaves open."""
    params = {param.name: spec.params.get(param.name, param.default) for param in protocol.PARAMS}
    framing, alpha = params.pop("framing"), params.pop("alpha")
    of_look = {name: value for name, value in params.items() if name not in MOTION_PARAMS}
    return Look(
        size=spec.size,
        style=spec.style,
        framing="picture" if framing == "picture" else "crop",
        alpha=bool(alpha),
        seed=spec.seed,
        params=of_look,
    )


def _only(motion: Motion, frames: list[int]) -> Motion:
    """Some frames of a motion."""
    return dataclasses.replace(
        motion,
        expression=motion.expression[frames],
        head=motion.head[frames],
        gaze=motion.gaze[frames],
        native={name: rows[frames] for name, rows in motion.native.items()},
    )


def _lips(motion: Motion) -> npt.NDArray[np.float32]:
    """(N, 40, 3) lips of the canonical face; see MeshWarp.lips."""
    lips: npt.NDArray[np.float32] = registry.load(registry.RENDERERS, "mesh_warp").lips(motion)
    return lips


def motion_arrays(
    motion: Motion, lips: npt.NDArray[np.float32] | None = None
) -> dict[str, npt.NDArray[Any]]:
    """The content of `motion.npz`."""
    return {
        "fps": np.array(float(motion.fps)),
        "expression": motion.expression,
        "head": motion.head,
        "gaze": motion.gaze,
        "lips": _lips(motion) if lips is None else lips,
    }


def save_motion(motion: Motion, target: Path) -> None:
    """Write a motion.npz anywhere; it appears whole or not at all.

    Raises:
        FolderNotWritable, DiskFull.
    """
    with writing(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
    with new_npz(target) as file:
        for name, array in motion_arrays(motion).items():
            file.write(name, array)


def _save_landmarks(
    folder: TakeFolder, blocks: Iterator[npt.NDArray[np.float32]], n_frames: int
) -> None:
    """Write `landmarks.npz` block by block: 10 minutes of mesh are 57 MB."""
    ibug: list[npt.NDArray[np.float32]] = []

    def passing() -> Iterator[npt.NDArray[np.float32]]:
        for block in blocks:
            ibug.append(block[:, list(IBUG_68)])
            yield block

    with new_npz(folder.path / "landmarks.npz") as file:
        file.stream("mesh", (n_frames, N_MESH, 2), passing())
        file.stream("ibug", (n_frames, len(IBUG_68), 2), iter(ibug))


def _take(shot: _Shot, folder: TakeFolder, drawn: list[int], stages: Stages) -> Take:
    size = frame_size(folder.frame_path(0))
    height, width = shot.portrait.rgba.shape[:2]
    fresh = set(drawn)
    return Take(
        path=folder.path,
        spec=shot.spec,
        size=size,
        frame_keys=shot.keys,
        layers=folder.layers,
        channels=shot.performance.channels,
        generated=shot.performance.generated,
        edited=shot.performance.edited,
        cues=shot.performance.blinks,
        report=shot.performance.report,
        box=_shown_box(shot, size),
        picture_size=(width, height),
        rendered=tuple(drawn),
        reused=tuple(frame for frame in range(len(shot.keys)) if frame not in fresh),
        versions=shot.versions,
        weights=checkpoints.bundled_weights(),
        seconds=stages.seconds,
        warnings=tuple(stages.warnings),
    )


def _shown_box(shot: _Shot, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Which part of the picture a frame shows, px xyxy."""
    height, width = shot.portrait.rgba.shape[:2]
    if shot.look.framing == "picture":
        return 0.0, 0.0, float(width), float(height)
    corners = np.array([[0, 0, 1], [size[0], size[1], 1]], np.float64) @ shot.face_crop.to_picture.T
    x0, y0, x1, y1 = np.round(corners.ravel(), 2).tolist()
    return x0, y0, x1, y1
