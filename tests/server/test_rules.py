"""Motion by rules: a mouth that follows the voice, rests in silence, and moves the same again."""

import importlib.util
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from inference_server.audio_io import read_speech
from inference_server.datatypes import ARKIT_INDEX, AudioRange, Speech, Word
from inference_server.motion.channels import measure, with_look
from inference_server.motion.closures import enforce
from inference_server.motion.lids import lids
from inference_server.motion.report import report
from inference_server.registry import MOTION_SOURCES, load
from inference_server.speech import blinks, gaze, head, voice
from inference_server.speech.frames import Frames
from inference_server.speech.seeded import white

SPEECH = Path(__file__).parents[1] / "fixtures" / "speech.wav"
PAUSE_S = (4.25, 4.85)  # well inside the second between the sentences
JAW = ARKIT_INDEX["jawOpen"]
RATES = [
    *(Fraction(n) for n in (12, 24, 25, 30, 50, 60)),
    *(Fraction(n, 1001) for n in (24000, 30000, 60000)),
]


@pytest.fixture(scope="module")
def speech() -> Speech:
    return read_speech(AudioRange(SPEECH))


def sound(samples) -> Speech:
    return Speech(np.asarray(samples, np.float32), 0.0, len(samples) / 16000, "made in a test")


def move(speech: Speech, fps=25, n_frames=None, seed=0, **params):
    fps = Fraction(fps)
    n_frames = int(speech.duration_s * fps) if n_frames is None else n_frames
    return load(MOTION_SOURCES, "rules").motion(speech, fps, n_frames, seed, params)


def test_words_are_not_heeded_and_a_warning_says_so(speech):
    word = Word("papa", 0.2, 0.6, 0.2, 0.6, "papa")
    told = move(speech, words=(word,))
    assert any("Mouth is Neural" in warning for warning in told.warnings)
    assert same(told, move(speech))


def same(a, b) -> bool:
    return all(
        getattr(a.motion, name).tobytes() == getattr(b.motion, name).tobytes()
        for name in ("expression", "head", "gaze")
    )


def test_voice_is_found_where_somebody_speaks(speech):
    spoken = voice.speaking(speech.samples)
    times_s = np.arange(len(spoken)) / 100
    assert spoken[(times_s > 0.4) & (times_s < 3.9)].mean() > 0.95
    assert not spoken[(times_s > PAUSE_S[0]) & (times_s < PAUSE_S[1])].any()


@pytest.mark.parametrize("gain_db", [-50, -20, 6])
def test_voice_is_found_at_any_level(speech, gain_db):
    quiet = speech.samples * np.float32(10 ** (gain_db / 20))
    agree = voice.speaking(quiet) == voice.speaking(speech.samples)
    assert agree.mean() > 0.97


def test_the_network_in_batches_is_the_network_chunk_by_chunk(speech):
    found = importlib.util.find_spec("silero_vad")
    network = torch.jit.load(str(Path(found.origin).parent / "data" / "silero_vad.jit")).eval()
    samples = speech.samples[: 512 * 60]
    gain = voice._at_samples(voice._gain(samples), 0, len(samples))
    chunks = torch.from_numpy(samples * gain).reshape(-1, 1, 512)
    with torch.inference_mode():
        one_by_one = [float(network(chunk, 16000)) for chunk in chunks]
    assert voice.probability(samples) == pytest.approx(one_by_one, abs=1e-4)


def made(kind: str) -> np.ndarray:
    rng, time = np.random.default_rng(0), np.arange(4 * 16000) / 16000
    return {
        "nothing": np.zeros_like(time),
        "tone": 0.3 * np.sin(2 * np.pi * 440 * time),
        "hum": 0.2 * np.sign(np.sin(2 * np.pi * 50 * time)),
        "chord": sum(0.1 * np.sin(2 * np.pi * hz * time) for hz in (220, 277, 330, 440)),
        "melody": 0.3 * np.sin(2 * np.pi * 220 * 2 ** (np.floor(time * 4) % 12 / 12) * time),
        "hiss": rng.normal(0, 0.1, len(time)),
        "faint hiss": rng.normal(0, 1e-4, len(time)),
        "clicks": (rng.random(len(time)) < 5e-4).astype(float),
    }[kind]


@pytest.mark.parametrize(
    "kind", ["nothing", "tone", "hum", "chord", "melody", "hiss", "faint hiss", "clicks"]
)
def test_what_is_not_speech_keeps_the_mouth_shut(kind):
    spoken = move(sound(made(kind)))
    assert spoken.silent.all()
    assert not spoken.closures
    for name in ("lip_open", "lip_width", "lip_round", "smile"):
        assert not measure(spoken.motion)[name].any()


def test_the_mouth_opens_as_wide_as_in_life_and_rests_in_the_pause(speech):
    spoken = move(speech)
    opened = measure(spoken.motion)["lip_open"]
    times_s = np.arange(len(opened)) / 25
    assert 0.4 < np.percentile(opened[~spoken.silent], 95) < 0.75
    assert opened.max() <= 0.9
    pause = (times_s > PAUSE_S[0]) & (times_s < PAUSE_S[1])
    assert spoken.silent[pause].all()
    assert not opened[pause].any()
    assert report(spoken.motion, spoken.silent, ()).silence_motion == 0


def test_the_mouth_follows_the_loudness(speech):
    opened = measure(move(speech, fps=50).motion)["lip_open"]
    loud = np.convolve(np.square(speech.samples), np.ones(1600) / 1600, "same")[::320] ** 0.5
    n_frames = min(len(opened), len(loud))
    lags = range(-6, 7)
    match = [np.corrcoef(opened[10:-10], np.roll(loud[:n_frames], k)[10:-10])[0, 1] for k in lags]
    assert max(match) > 0.55
    assert -4 <= lags[int(np.argmax(match))] <= 1  # the mouth is up to 80 ms ahead


def test_silence_before_the_voice_moves_the_motion_by_as_much(speech):
    later = sound(np.concatenate([np.zeros(2 * 16000, np.float32), speech.samples]))
    early, late = (measure(move(s).motion)["lip_open"] for s in (speech, later))
    n_frames = len(early)
    assert np.abs(late[50 : 50 + n_frames] - early).mean() < 0.02
    assert not late[:50].any()


@pytest.mark.parametrize("fps", RATES)
def test_every_frame_rate_keeps_closures_blinks_and_rest(speech, fps):
    spoken = move(speech, fps, eye_amount=2.0)
    n_frames = int(speech.duration_s * fps)
    assert spoken.motion.expression.shape == (n_frames, 52)
    assert spoken.motion.fps == fps
    assert len(spoken.closures) >= 3
    assert all(0 <= first <= last < n_frames for first, last in spoken.closures)
    found = report(enforce(spoken), spoken.silent, spoken.closures)
    assert found.closure_hits == found.closure_total
    assert found.silence_motion == 0
    assert measure(spoken.motion)["eye_open_l"].min() == pytest.approx(0, abs=1e-6)


def test_motion_at_a_moment_does_not_depend_on_the_frame_rate(speech):
    slow, fast = (move(speech, fps).motion for fps in (25, 50))
    n_frames = min(slow.n_frames, len(fast.head[::2]))
    assert slow.head[:n_frames] == pytest.approx(fast.head[::2][:n_frames], abs=1e-5)
    jaws = slow.expression[:n_frames, JAW], fast.expression[::2, JAW][:n_frames]
    assert jaws[0] == pytest.approx(jaws[1], abs=1e-5)


def test_same_seed_same_motion_other_seed_other_head_same_mouth(speech):
    first, again, other = move(speech, seed=3), move(speech, seed=3), move(speech, seed=-4)
    assert same(first, again)
    assert not np.allclose(first.motion.head, other.motion.head)
    mouth = measure(first.motion)["lip_open"]
    assert mouth.tolist() == measure(other.motion)["lip_open"].tolist()


def test_fewer_frames_are_the_first_of_more(speech):
    short, long = move(speech, n_frames=60), move(speech, n_frames=150)
    assert short.motion.expression.tobytes() == long.motion.expression[:60].tobytes()
    assert short.motion.head.tobytes() == long.motion.head[:60].tobytes()
    assert short.motion.gaze.tobytes() == long.motion.gaze[:60].tobytes()


def test_trimming_the_end_leaves_what_is_well_before_it():
    once = read_speech(AudioRange(SPEECH)).samples
    long = sound(np.tile(once, 4))
    short = sound(long.samples[: 20 * 16000])
    whole, cut = move(long), move(short)
    same_until = 25 * (20 - 9)
    for name in ("expression", "head", "gaze"):
        a, b = (getattr(m.motion, name)[:same_until] for m in (whole, cut))
        assert a == pytest.approx(b, abs=1e-6)


def test_trimming_the_start_keeps_the_sway_of_each_moment():
    spoken = np.ones(3000, bool)
    whole, late = head.sway(spoken, 0.0, 7), head.sway(spoken[1000:], 10.0, 7)
    assert whole[1000:] == pytest.approx(late, abs=1e-9)
    assert gaze.fixations(3000, 0.0, 7)[1000:] == pytest.approx(
        gaze.fixations(2000, 10.0, 7), abs=1e-9
    )


def test_frames_beyond_the_sound_are_silent(speech):
    spoken = move(speech, n_frames=300)
    assert spoken.silent[190:].all()
    assert not measure(spoken.motion)["lip_open"][190:].any()


def test_amounts_of_zero_are_still(speech):
    spoken = move(speech, lip_amount=0.0, head_amount=0.0, eye_amount=0.0)
    assert not spoken.motion.expression.any()
    assert not spoken.motion.head.any()
    assert not spoken.motion.gaze.any()


def test_amounts_scale_what_they_name(speech):
    half, full = (move(speech, lip_amount=a, head_amount=a).motion for a in (0.5, 1.0))
    assert half.head == pytest.approx(full.head / 2, abs=1e-5)
    assert half.expression[:, JAW] == pytest.approx(full.expression[:, JAW] / 2, abs=1e-5)


def test_eye_look_weights_follow_the_gaze(speech):
    motion = move(speech).motion
    assert motion.gaze.std() > 0.3
    assert with_look(motion.expression, motion.gaze).tobytes() == motion.expression.tobytes()


@pytest.mark.parametrize("n_samples", [1, 100, 1280, 16000])
def test_the_shortest_sounds_do_not_fail(n_samples):
    rng = np.random.default_rng(0)
    spoken = move(sound(rng.normal(0, 0.1, n_samples)), n_frames=max(1, n_samples // 640))
    assert np.isfinite(spoken.motion.expression).all()


def test_head_has_the_measured_amplitude_and_speed():
    angles = head.sway(np.ones(60_000, bool), 0.0, 1)
    speed = np.diff(angles, axis=0) * 100
    assert angles.std(axis=0) == pytest.approx([2.5, 2.0, 1.5], rel=0.2)
    assert speed.std(axis=0) / angles.std(axis=0) == pytest.approx([3.5, 3.9, 2.6], rel=0.15)
    resting = head.sway(np.zeros(60_000, bool), 0.0, 1)
    assert resting == pytest.approx(0.65 * angles, abs=1e-9)


def test_blinks_come_twenty_times_a_minute_and_not_at_once():
    spoken = np.ones(60_000, bool)
    for seed in range(5):
        found = blinks.frames(spoken, 0.0, Frames(Fraction(25), 15_000), seed, 1.0)
        assert len(found) / 10 == pytest.approx(20, rel=0.2)
        assert (lids(found, Fraction(25), 15_000)[: int(0.3 * 25)] == 0).all()


def test_blinks_gather_at_phrase_ends():
    spoken = np.arange(60_000) % 300 < 200  # a phrase of two seconds, a pause of one
    tops = np.array(blinks.frames(spoken, 0.0, Frames(Fraction(100), 60_000), 0, 1.0))
    from_phrase_end = np.abs((tops - 200 + 150) % 300 - 150)
    by_chance = 21 / 300
    assert (from_phrase_end <= 10).mean() > 3 * by_chance


def test_noise_belongs_to_its_place():
    everything = white(5, 1, -1000, 3000)
    assert white(5, 1, 300, 700).tolist() == everything[1300:2000].tolist()
    assert abs(everything.mean()) < 0.1
    assert everything.std() == pytest.approx(1, abs=0.1)
