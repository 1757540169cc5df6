"""The training script in small: two steps of each part, from sound to a file that loads."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference_server.audio_io import read_speech
from inference_server.datatypes import AudioRange
from inference_server.speech import hearing
from inference_server.speech.visemes import VISEMES
from inference_server.training import speech_judge, speech_scores
from inference_server.training.speech_clips import Clip, best_lag, read_clip, shift_sound
from inference_server.training.speech_nets import Config, Losses, components, pretrain, tune
from inference_server.training.speech_synthetic import Utterance, viseme_track
from inference_server.training.train_speech import export

SPEECH = Path(__file__).parents[1] / "fixtures" / "speech.wav"
SMALL = replace(Config(), pretrain_steps=2, pretrain_batch=2, tune_steps=2, tune_batch=2, members=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two spoken utterances and two tracked clips, whose lips follow the loudness."""
    root = tmp_path_factory.mktemp("training")
    samples = (read_speech(AudioRange(SPEECH)).samples * 32767).astype(np.int16)
    visemes = (np.arange(len(samples) // 320) // 5 % len(VISEMES)).astype(np.uint8)
    (root / "spoken").mkdir()
    (root / "tracks").mkdir()
    for voice in ("espeak:de", "flite:awb"):
        np.savez(
            root / "spoken" / f"{voice[-3:]}.npz", samples=samples, visemes=visemes, voice=voice
        )
    loud = np.abs(samples[: len(samples) // 640 * 640].astype(float)).reshape(-1, 640).mean(1)
    loud = np.convolve(loud / loud.max(), np.hanning(7) / 3, "same")
    lips, chin = np.zeros((len(loud), 40, 3), np.float32), np.zeros((len(loud), 5, 3), np.float32)
    lips += 0.005 * np.random.default_rng(0).normal(size=lips.shape)  # as a tracker trembles
    lips[:, 20:30, 1] += 0.1 * loud[:, None]
    lips[:, 10, 0] += 0.6 - 0.05 * loud
    lips[:, 5, 1] += 0.2 * loud
    lips[:, 15, 1] += -0.02 * loud
    for name in ("grid_man_red", "somebody"):
        track = {"lips": lips, "chin": chin, "fps": 25.0, "samples": samples}
        np.savez(root / "tracks" / f"{name}.npz", **track)
    return root


@pytest.fixture(scope="module")
def clips(folder) -> list[Clip]:
    return [read_clip(path, folder / "heard") for path in sorted((folder / "tracks").glob("*.npz"))]


def train(folder: Path, clips: list[Clip], out: Path) -> Losses:
    losses: Losses = []
    start = pretrain(SMALL, folder / "spoken", losses)
    taught = [clip for clip in clips if clip.licence]
    axes = components(taught)
    export(tune(SMALL, start, taught, axes, losses), axes, taught, out)
    return losses


def test_training_writes_the_same_file_twice(folder, clips, tmp_path):
    losses = train(folder, clips, tmp_path / "a.safetensors")
    train(folder, clips, tmp_path / "b.safetensors")
    assert [phase for phase, _, _ in losses] == ["pretrain"] * 2 + ["tune"] * 2
    assert np.isfinite([value for _, _, value in losses]).all()
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert (tmp_path / "a.safetensors").stat().st_size < 10_000_000


def test_what_was_trained_is_judged(folder, clips, tmp_path, caplog):
    path = tmp_path / "speech.safetensors"
    train(folder, clips, path)
    network = hearing.load(path)
    taught = [clip for clip in clips if clip.licence]
    baseline = speech_judge.energy_to_jaw(taught, components(taught))
    verdict = speech_judge.Verdict()
    for clip in clips:
        verdict.add(clip, network, baseline)
    scores = dict(verdict.tables["energy"])["somebody"]
    assert scores["r_open"] > 0.5  # these lips do follow the loudness
    assert set(verdict.tables) == {"phones", "no phones", "motion", "energy", "mean face"}
    with caplog.at_level("INFO"):
        verdict.print()
    assert "grid, 1 people" in caplog.text
    assert "mapping, rules and rest change lmd" in caplog.text


def test_clips_that_may_not_teach_have_no_licence(clips):
    assert [bool(clip.licence) for clip in clips] == [True, False]


def test_a_late_sound_is_found_and_moved(clips):
    late = shift_sound(clips[0], -5)
    heard = np.roll(clips[0].target, 5, axis=0)
    assert best_lag(heard, late)[0] == 5
    assert shift_sound(late, 5).lag == 0


def test_phones_become_visemes_every_20_ms():
    utterance = Utterance(np.zeros(1600, np.float32), 16_000, [0.0, 0.06], [(1,), (9, 11)], "x")
    assert viseme_track(utterance).tolist() == [1, 1, 1, 9, 11]


@pytest.mark.skipif(not shutil.which("festival"), reason="festival is not installed")
def test_festival_says_when_its_phones_are():
    import random

    from inference_server.training.speech_synthetic import festival

    spoken = festival(random.Random(0), "hello baby")
    assert len(spoken.starts_s) == len(spoken.visemes) > 6
    assert spoken.starts_s[-1] < len(spoken.samples) / spoken.rate


def test_the_text_of_a_clip_is_aligned():
    from inference_server.training.speech_aligned import align, decoder

    speech = read_speech(AudioRange(SPEECH))
    samples = (speech.samples * 32767).astype(np.int16)
    assert align(decoder(), samples[:1600], "this can never fit into a tenth of a second") is None


def test_scores_are_means_of_people():
    rows = [("a", {"r": 1.0}), ("a", {"r": 0.0}), ("b", {"r": 1.0})]
    assert speech_scores.by_person(rows)["all"]["r"] == 0.75
