"""The recogniser's model under our own code, against pocketsphinx itself."""

from pathlib import Path

import numpy as np
import pocketsphinx
import pytest

from inference_server.audio_io import read_speech
from inference_server.datatypes import AudioRange
from inference_server.speech import phones, voice
from inference_server.speech.acoustics import STATES, bundled
from inference_server.speech.cepstra import HOP, WINDOW, cepstra
from inference_server.speech.features import RATE
from inference_server.speech.visemes import VISEMES, of_arpabet

FIXTURE = Path(__file__).parents[1] / "fixtures" / "speech.wav"
INT16 = 32_768


@pytest.fixture
def everything_is_english(monkeypatch):
    """The fixture's voice is synthetic: its phones would not count."""
    monkeypatch.setattr(phones, "englishness", lambda *_: 1.0)


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    samples = read_speech(AudioRange(FIXTURE, 0.0, 8.0)).samples
    return np.round(samples / np.abs(samples).max() * 0.8 * INT16).astype(np.float32) / INT16


def decoder(**settings) -> pocketsphinx.Decoder:
    folder = Path(pocketsphinx.get_model_path("en-us"))
    return pocketsphinx.Decoder(
        hmm=str(folder / "en-us"),
        allphone=str(folder / "en-us-phone.lm.bin"),
        lw=2.0,
        loglevel="FATAL",
        **settings,
    )


def listen(ears: pocketsphinx.Decoder, samples: np.ndarray) -> None:
    ears.start_utt()
    ears.process_raw((samples * INT16).astype(np.int16).tobytes(), False, True)
    ears.end_utt()


def test_cepstra_are_those_of_pocketsphinx(samples, tmp_path):
    listen(decoder(mfclogdir=str(tmp_path)), samples)
    (written,) = tmp_path.iterdir()
    theirs = np.frombuffer(written.read_bytes(), ">f4", offset=4).reshape(-1, 13).astype(float)
    ours = cepstra(samples)
    theirs = theirs[: ours.shape[1]]  # it fills up one more window
    assert ours[0] == pytest.approx(theirs - theirs.mean(0), abs=2e-4)
    assert ours[1][2:-2] == pytest.approx(theirs[4:] - theirs[:-4], abs=4e-4)


@pytest.mark.usefixtures("everything_is_english")
def test_phones_agree_with_those_of_pocketsphinx(samples):
    ears = decoder(beam=1e-40, pbeam=1e-40)
    listen(ears, samples)
    theirs = np.zeros(len(samples) * RATE // 16_000 + 1, int)
    for segment in ears.seg():
        first, last = (
            round((frame * HOP + WINDOW / 2) * RATE / 16_000)
            for frame in (segment.start_frame, segment.end_frame + 1)
        )
        shapes = of_arpabet(segment.word)
        theirs[first:last] = shapes[0]
        theirs[(first + last) // 2 : last] = shapes[-1]
    everywhere = np.ones(len(samples) // voice.STEP + 1, bool)
    ours = phones.heard(samples, everywhere).argmax(1)
    assert (ours == theirs).mean() > 0.6  # it hears one path, and its phone model backwards


def test_chances_of_states_sum_to_one_and_follow_the_model(samples):
    model = bundled()
    assert model.steps.sum(1) == pytest.approx(1, abs=1e-6)
    chances = phones.state_chances(model.likelihoods(cepstra(samples[:16_000])), model)
    assert chances.shape == ((16_000 - WINDOW) // HOP + 1, len(model.names) * STATES)
    assert chances.sum(1) == pytest.approx(1)


@pytest.mark.usefixtures("everything_is_english")
def test_pauses_are_heard_as_nothing(samples):
    nobody = np.zeros(len(samples) // voice.STEP + 1, bool)
    assert not phones.heard(samples, nobody).any()
    somebody = nobody.copy()
    somebody[200:400] = True
    sure = phones.heard(samples, somebody)
    assert sure[105:195].sum(1) == pytest.approx(1, abs=0.01)
    assert not sure[:85].any() and not sure[215:].any()
    assert sure.shape[1] == len(VISEMES)


def test_phones_fade_where_the_sounds_are_not_those_of_english(samples):
    model = bundled()
    states = np.zeros((100, model.steps.shape[0]))
    silence = model.silence * STATES
    states[:50, silence] = 1
    states[50:, silence - STATES] = 1
    logs = np.full(states.shape, -30, np.float32)

    def englishness(near: float) -> float:
        logs[50:, silence - STATES] = near
        return phones.englishness(logs, states, model)

    assert englishness(-14) == 1
    assert 0.2 < englishness(-16.5) < 0.8
    assert englishness(-18) == 0
    states[50:] = states[0]
    assert englishness(-18) == 1  # nobody talks: nothing to tell by


def test_a_robot_is_not_taken_for_an_english_voice(samples):
    everywhere = np.ones(len(samples) // voice.STEP + 1, bool)
    assert phones.heard(samples, everywhere).max() < 0.1
