"""The whole main job with the installed server, inside bpy: sound strip in, lips and eyes out.

The server is the one that install.json in ANIMATE_PORTRAIT_HOME names; without it these tests are
skipped, and say so.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import FIRST, N_FRAMES, REAL_HOME, REPOSITORY, Stage, addon, open_stage

pytestmark = [pytest.mark.blender]


@pytest.fixture
def stage(bpy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    if not REAL_HOME or not (Path(REAL_HOME) / "install.json").is_file():
        pytest.skip("NO SERVER IS INSTALLED: ANIMATE_PORTRAIT_HOME holds no install.json")
    monkeypatch.setenv("ANIMATE_PORTRAIT_HOME", REAL_HOME)
    addon("setup").forget_record()
    made = open_stage(bpy, tmp_path)
    shutil.copy(REPOSITORY / "tests/fixtures/speech.wav", made.folder / "voice.wav")
    if not hasattr(made.sound, "retiming_keys"):  # 4.2 compares the lengths
        _cut(made.folder / "voice.wav", 3.0)
    yield made
    jobs = addon("jobs").JOBS
    jobs.stop()
    jobs.list.clear()
    addon("setup").forget_record()


def _cut(path: Path, seconds: float) -> None:
    import wave

    with wave.open(str(path), "rb") as file:
        parameters, rate = file.getparams(), file.getframerate()
        frames = file.readframes(round(seconds * rate))
    with wave.open(str(path), "wb") as file:
        file.setparams(parameters)
        file.writeframes(frames)


def pixels(bpy: Any, path: Path) -> np.ndarray:
    image = bpy.data.images.load(str(path))
    values = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(values)
    width, height = image.size
    bpy.data.images.remove(image)
    return values.reshape(height, width, -1)


def test_the_main_job(stage: Stage) -> None:
    shot = stage.animate(size=256)
    strips, shots = addon("strips"), addon("shots")
    assert strips.handles(shot) == strips.handles(stage.sound)
    folder = strips.shown_folder(shot)
    take = json.loads((folder / "take.json").read_text())
    assert take["n_frames"] == N_FRAMES
    assert take["rendered"] == list(range(N_FRAMES))
    assert shots.measure(shot).dirty == 0
    lips = np.array(take["generated"]["lip_open"])
    assert lips.max() > 0.15, "nobody speaks"
    assert len(stage.curve(shot, "lip_open").keyframe_points) == N_FRAMES
    mesh = stage.bpy.data.meshes[shots.record(shot).mesh]
    assert len(mesh.vertices) == 68 * N_FRAMES
    landmarks = addon("landmarks").read(mesh)
    mouth = landmarks[:, 62, 1] - landmarks[:, 66, 1]  # inner lips, y up
    assert np.corrcoef(mouth, lips)[0, 1] > 0.6

    widest = int(lips.argmax())
    for frame in range(widest - 1, widest + 2):
        stage.key(shot, "lip_open", frame, 0.0)
    stage.push("keys")
    dirty = shots.measure(shot).dirty
    assert 1 <= dirty <= 3
    before = pixels(stage.bpy, folder / f"{widest:06d}.png")
    shot = stage.render_edits()
    new = strips.shown_folder(shot)
    take = json.loads((new / "take.json").read_text())
    assert len(take["rendered"]) == dirty
    after = pixels(stage.bpy, new / f"{widest:06d}.png")
    assert np.abs(after - before).max() > 0.1
    assert shots.measure(shot).dirty == 0
    same = (widest + 20) % N_FRAMES
    assert (folder / f"{same:06d}.png").read_bytes() == (new / f"{same:06d}.png").read_bytes()
    stage.undo()
    assert strips.shown_folder(stage.shot) == folder


def test_an_edit_with_a_warm_server_is_quick(stage: Stage) -> None:
    shot = stage.animate(size=256)
    times = []
    for frame in (20, 30, 40):
        stage.key(shot, "head_roll", frame, 17.0)
        began = time.perf_counter()
        shot = stage.render_edits()
        times.append(time.perf_counter() - began)
    print(f"from button to new take: {1000 * min(times):.0f} ms")
    assert min(times) < 2.0


def test_the_current_frame_is_drawn_at_once_with_a_warm_server(stage: Stage) -> None:
    shot = stage.animate(size=512)
    times = []
    for frame in range(20, 50, 5):
        stage.key(shot, "lip_open", frame, 0.9 if frame % 2 else 0.1)
        stage.scene.frame_set(FIRST + frame)
        began = time.perf_counter()
        assert stage.bpy.ops.animportrait.render_current_frame() == {"FINISHED"}
        times.append(1000 * (time.perf_counter() - began))
        shot = stage.shot
        assert addon("shots").take_of(shot).rendered == 1
    print(f"Render Current Frame: {min(times):.0f} to {max(times):.0f} ms")
    assert min(times) <= 150


def test_a_picture_without_a_face_is_named_and_placed_landmarks_help(stage: Stage) -> None:
    blank = stage.bpy.data.images.new("blank", 256, 256)
    blank.filepath_raw, blank.file_format = str(stage.folder / "blank.png"), "PNG"
    blank.save()
    with pytest.raises(RuntimeError, match=r"(?s)blank\.png.*Landmarks in More Settings"):
        stage.animate(image="//blank.png", size=256)
    assert not stage.shots

    folder = addon("strips").shown_folder(stage.animate(size=256))
    points = addon("takes").read_landmarks(folder)[0]
    placed = {"faces": [{"landmarks": points.tolist()}]}
    (stage.folder / "points.json").write_text(json.dumps(placed))
    stage.select(stage.sound)
    shot = stage.animate(image="//blank.png", landmarks="//points.json", size=256)
    assert addon("strips").handles(shot) == addon("strips").handles(stage.sound)


def test_cancelling_the_real_server(stage: Stage) -> None:
    jobs = addon("jobs").JOBS
    stage.scene.animportrait.image = str(stage.picture)
    stage.scene.animportrait.size = 1024
    job = jobs.add(addon("orders").animate(stage.scene))
    deadline = time.monotonic() + 120
    while job.stage != "render":
        assert time.monotonic() < deadline and not job.ended, job.message
        jobs.tick()
        time.sleep(0.01)
    pid = jobs._server._process.pid
    began = time.monotonic()
    jobs.cancel(job)
    jobs.wait(job)
    assert job.state.value == "cancelled"
    assert time.monotonic() - began < 2.0
    jobs.stop()
    deadline = time.monotonic() + 5
    while os.path.exists(f"/proc/{pid}"):
        assert time.monotonic() < deadline, "the server lives on"
        time.sleep(0.02)
    assert stage.sound.frame_final_start == FIRST
