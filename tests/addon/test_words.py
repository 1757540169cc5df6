"""Words on the timeline, with the installed server: align, drag, stretch, retype."""

from __future__ import annotations

import json
import subprocess
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import FIRST, REAL_HOME, REPOSITORY, Stage, addon, open_stage

pytestmark = [pytest.mark.blender]

SENTENCE = "My brush may be simple"
FPS = 24


@pytest.fixture
def stage(bpy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    if not REAL_HOME or not (Path(REAL_HOME) / "install.json").is_file():
        pytest.skip("NO SERVER IS INSTALLED: ANIMATE_PORTRAIT_HOME holds no install.json")
    monkeypatch.setenv("ANIMATE_PORTRAIT_HOME", REAL_HOME)
    addon("setup").forget_record()
    made = open_stage(bpy, tmp_path)
    _first_seconds(REPOSITORY / "tests/fixtures/speech.wav", made.folder / "voice.wav", 3.0)
    yield made
    jobs = addon("jobs").JOBS
    jobs.stop()
    jobs.list.clear()
    addon("setup").forget_record()


def _first_seconds(source: Path, target: Path, seconds: float) -> None:
    with wave.open(str(source), "rb") as file:
        parameters, rate = file.getparams(), file.getframerate()
        frames = file.readframes(round(seconds * rate))
    with wave.open(str(target), "wb") as file:
        file.setparams(parameters)
        file.writeframes(frames)


def aligned(stage: Stage, text: str = SENTENCE) -> Any:
    shot = stage.animate(size=128)
    shot.animportrait_transcript = text
    assert stage.bpy.ops.animportrait.align_words() == {"FINISHED"}
    return stage.shot


def take_of(shot: Any) -> dict[str, Any]:
    return json.loads((addon("strips").shown_folder(shot) / "take.json").read_text())


def move(strip: Any, start: int, end: int) -> None:
    """What dragging and pulling a handle do."""
    strips = addon("strips")
    strips._set(strip, "frame_start", start)
    for name, value in (("frame_final_end", end),):
        strips._set(strip, name, value)
    assert strips.handles(strip) == strips.Span(start, end)


def changed_frames(before: dict[str, Any], after: dict[str, Any]) -> np.ndarray:
    pairs = zip(before["frame_keys"], after["frame_keys"], strict=True)
    return np.array([frame for frame, (a, b) in enumerate(pairs) if a != b])


def test_words_are_dragged_stretched_and_retyped(stage: Stage) -> None:
    shot = aligned(stage)
    strips, word_strips, shots = addon("strips"), addon("word_strips"), addon("shots")
    words = word_strips.of_shot(shot)
    assert [word.text for word in words] == SENTENCE.split()
    assert [word.name for word in words] == SENTENCE.split()
    assert len({word.channel for word in words}) == 1
    lane = stage.scene.sequence_editor.channels[words[0].channel]
    assert (lane.name, lane.mute) == ("Words", True)
    assert all(strips.handles(word).start >= FIRST for word in words)
    assert shots.measure(shot).directions == ("words",)

    shot = stage.render_edits()
    known = take_of(shot)
    assert [word["word"] for word in known["spec"]["words"]] == SENTENCE.split()
    assert all(word["start_s"] == word["from_start_s"] for word in known["spec"]["words"])
    assert shots.measure(shot).directions == ()

    last = word_strips.of_shot(shot)[-1]
    span = strips.handles(last)
    move(last, span.start, span.end + 6)
    assert shots.measure(shot).directions == ("words",)
    shot = stage.render_edits()
    stretched = take_of(shot)
    word = stretched["spec"]["words"][-1]
    assert word["end_s"] == pytest.approx((span.end + 6 - FIRST) / FPS, abs=1e-3)
    assert word["from_end_s"] == known["spec"]["words"][-1]["from_end_s"]
    frames = changed_frames(known, stretched)
    assert len(frames)
    assert frames.min() >= span.start - FIRST - 1
    assert set(stretched["rendered"]) <= set(frames.tolist())

    word_strips.of_shot(shot)[-1].text = "papaya"
    shot = stage.render_edits()
    retyped = take_of(shot)
    assert retyped["spec"]["words"][-1]["said"] == "simple"
    assert changed_frames(stretched, retyped).min() >= span.start - FIRST - 5

    assert stage.bpy.ops.animportrait.remove_words() == {"FINISHED"}
    assert not word_strips.of_shot(stage.shot)
    shot = stage.render_edits()
    assert take_of(shot)["spec"]["words"] is None


def test_a_text_strip_over_the_shot_is_the_transcript(stage: Stage) -> None:
    stage.animate(size=128)
    strips = addon("strips")
    text = strips.new_text_strip(stage.scene, SENTENCE, 9, strips.Span(FIRST, FIRST + 40))
    stage.select(stage.shot)
    assert stage.bpy.ops.animportrait.align_words() == {"FINISHED"}
    words = addon("word_strips").of_shot(stage.shot)
    assert [word.text for word in words] == SENTENCE.split()
    assert text.name in [strip.name for strip in stage.strips]


def test_words_follow_a_shot_that_is_moved(stage: Stage) -> None:
    shot = aligned(stage)
    strips, word_strips = addon("strips"), addon("word_strips")
    before = word_strips.spoken(shot)
    for strip in [shot, *word_strips.of_shot(shot)]:
        span = strips.handles(strip)
        strips._set(strip, "frame_start", strips._get(strip, "frame_start") + 100)
        assert strips.handles(strip).start == span.start + 100
    assert word_strips.spoken(stage.shot) == before


def test_aligning_again_replaces_the_words(stage: Stage) -> None:
    aligned(stage)
    stage.select(stage.shot)
    shot = stage.shot
    shot.animportrait_transcript = "My brush"
    assert stage.bpy.ops.animportrait.align_words() == {"FINISHED"}
    assert [word.text for word in addon("word_strips").of_shot(stage.shot)] == ["My", "brush"]


def test_a_transcript_that_does_not_fit_is_said(stage: Stage) -> None:
    stage.animate(size=128)
    shot = stage.shot
    shot.animportrait_transcript = "Fish and chips with vinegar"
    assert stage.bpy.ops.animportrait.align_words() == {"FINISHED"}
    job = addon("jobs").JOBS.list[-1]
    assert any("words do not seem to be what is said" in note for note in job.notes)


def test_a_style_file_is_checked_before_anything_changes(stage: Stage) -> None:
    shot = stage.animate(size=128)
    folder, curves = addon("strips").shown_folder(shot), len(list(stage.folder.rglob("take.json")))
    wrong = stage.folder / "wrong.safetensors"
    wrong.write_bytes(b"no style")
    for name, said in (("gone.safetensors", "no such file"), (wrong.name, "is no voice style")):
        shot = stage.shot
        shot.animportrait.voice_style = f"//{name}"
        with pytest.raises(RuntimeError, match="(?i)" + said):
            stage.bpy.ops.animportrait.animate()
        assert addon("strips").shown_folder(stage.shot) == folder
        assert len(list(stage.folder.rglob("take.json"))) == curves


SMALL_MOUTH = """
import sys
import numpy as np
from pathlib import Path
from inference_server.speech.face import Habits
from inference_server.speech.hearing import bundled
from inference_server.speech.style import VoiceStyle, fingerprint, write_style
network = bundled()
hidden = network.net.mouth[-1].in_features
arrays = np.zeros((12, hidden)), np.zeros(12), network.rest
style = VoiceStyle(Habits(), 0.3, 0.3, fingerprint(network), *arrays)
write_style(style, Path(sys.argv[1]), "made in a test")
"""


def test_a_style_file_beside_the_blend_changes_the_mouth(stage: Stage) -> None:
    server = json.loads((Path(REAL_HOME) / "install.json").read_text())["command"][0]
    path = stage.folder / "me.safetensors"
    subprocess.run([server, "-c", SMALL_MOUTH, str(path)], check=True, cwd=REPOSITORY)
    shot = stage.animate(size=128)
    plain = np.array(take_of(shot)["generated"]["lip_open"])
    shot.animportrait.voice_style = "//me.safetensors"
    assert stage.bpy.ops.animportrait.animate() == {"FINISHED"}
    take = take_of(stage.shot)
    assert take["spec"]["params"]["voice_style"] == str(path)
    assert np.array(take["generated"]["lip_open"]).max() < 0.7 * plain.max()
