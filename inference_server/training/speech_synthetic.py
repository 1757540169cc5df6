"""Synthetic speech in several languages with exact phone times: the network's first teacher.

    python -m inference_server.training.speech_synthetic OUT_DIR [--minutes 240] [--seed 0]

Needs Debian's espeak-ng, flite, festival with festvox-kallpc16k, festvox-kdlpc16k and
festvox-us-slt-hts, and word lists (wamerican wngerman wfrench wspanish witalian wpolish wdutch
wportuguese). The words are drawn at random, so no text is copied; voices are the formant voices of
eSpeak NG and the free voices of Flite and Festival. Writes one NPZ per utterance: `samples`
int16 16 kHz, `visemes` uint8 at 50 Hz (speech.visemes), `voice`.
"""

from __future__ import annotations

import argparse
import ctypes
import logging
import random
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from inference_server.speech.visemes import of_arpabet, of_ipa

log = logging.getLogger(__name__)

SAMPLE_RATE = 16_000  # Hz
VISEME_RATE = 50  # Hz
WORD_LISTS = {
    "en-us": "american-english", "de": "ngerman", "fr": "french", "es": "spanish",
    "it": "italian", "pl": "polish", "nl": "dutch", "pt": "portuguese",
}  # fmt: skip
COMMON_ENGLISH = """
    the of and a to in is you that it he was for on are as with his they at be this have from or one
    had by but not what all were we when your can said there use an each which she do how their if
    will up other about out many then them these so some her would make like him into time has look
    two more write go see number no way could people my than first water been call who oil its now
    find long down day did get come made may part baby mom problem blue red green white place bin
    lay set please again soon zero seven nine three four five six
"""
ESPEAK_VARIANTS = ("", "+m1", "+m2", "+m3", "+m4", "+m5", "+m6", "+m7", "+f1", "+f2", "+f3", "+f4")
FLITE_VOICES = ("kal16", "awb", "rms", "slt")
FESTIVAL_VOICES = ("kal_diphone", "ked_diphone", "cmu_us_slt_arctic_hts")


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """Sound with the phone that is spoken from each start time on."""

    samples: npt.NDArray[np.float32]
    rate: int  # Hz
    starts_s: list[float]
    visemes: list[tuple[int, ...]]  # of each phone
    voice: str


def words(name: str) -> list[str]:
    """Lower-case words of 2 to 12 letters from a Debian word list."""
    lines = Path("/usr/share/dict", name).read_text("utf-8", errors="ignore").split()
    return [word for word in lines if 1 < len(word) < 13 and word.isalpha() and word.islower()]


def sentence(rng: random.Random, language: str, vocabulary: list[str]) -> str:
    """6 to 16 random words with commas and a stop."""
    common_words = COMMON_ENGLISH.split()
    chosen = []
    for i in range(rng.randint(6, 16)):
        common = language.startswith("en") and rng.random() < 0.55
        word = rng.choice(common_words if common else vocabulary)
        chosen.append(word + ("," if i % 5 == 3 and rng.random() < 0.5 else ""))
    return " ".join(chosen) + rng.choice(".?!.")


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("text", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int), ("identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
        ("length", ctypes.c_int), ("audio_position_ms", ctypes.c_int), ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p), ("id", _EventId),
    ]  # fmt: skip


class Espeak:
    """eSpeak NG through its C library, because only that reports phone times."""

    _PHONEME = 7  # espeak_EVENT_TYPE
    _RETRIEVAL = 1  # espeak_AUDIO_OUTPUT: give the samples to the callback
    _RATE, _PITCH, _RANGE = 1, 3, 4  # espeak_PARAMETER

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libespeak-ng.so.1")
        self._blocks: list[npt.NDArray[np.int16]] = []
        self._phones: list[tuple[float, str]] = []
        signature = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
        )
        self._callback = signature(self._receive)  # kept: C holds only a bare pointer
        phoneme_events, ipa_names = 1, 2
        self.rate = self._library.espeak_Initialize(
            self._RETRIEVAL, 200, None, phoneme_events | ipa_names
        )
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, wave: ctypes._Pointer, count: int, events: ctypes._Pointer) -> int:
        if count > 0:
            self._blocks.append(np.ctypeslib.as_array(wave, (count,)).copy())
        i = 0
        while events[i].type != 0:
            if events[i].type == self._PHONEME:
                name = events[i].id.text.decode("utf-8", "ignore")
                self._phones.append((events[i].audio_position_ms / 1000, name))
            i += 1
        return 0

    def speak(self, rng: random.Random, language: str, text: str) -> Utterance:
        """One sentence in a random voice, rate and pitch."""
        self._blocks.clear()
        self._phones.clear()
        voice = language + rng.choice(ESPEAK_VARIANTS)
        self._library.espeak_SetVoiceByName(voice.encode())
        self._library.espeak_SetParameter(self._RATE, rng.randint(115, 215), 0)
        self._library.espeak_SetParameter(self._PITCH, rng.randint(20, 80), 0)
        self._library.espeak_SetParameter(self._RANGE, rng.randint(30, 80), 0)
        data = text.encode()
        utf8 = 1
        self._library.espeak_Synth(data, len(data) + 1, 0, 1, 0, utf8, None, None)
        self._library.espeak_Synchronize()
        samples = np.concatenate(self._blocks).astype(np.float32) / 32768
        starts = [start for start, _ in self._phones]
        shapes = [of_ipa(name) for _, name in self._phones]
        return Utterance(samples, self.rate, starts, shapes, f"espeak:{voice}")


def flite(rng: random.Random, text: str) -> Utterance:
    """One English sentence by Flite, which prints `phone:end` pairs."""
    voice = rng.choice(FLITE_VOICES)
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder, "speech.wav")
        stretch = f"duration_stretch={rng.uniform(0.8, 1.25):.2f}"
        command = ["flite", "-psdur", "-voice", voice, "--setf", stretch, "-t", text, str(wav)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        samples, rate = soundfile.read(wav, dtype="float32")
    pairs = [pair.rsplit(":", 1) for pair in printed.split()]
    ends = [float(end) for _, end in pairs]
    starts = [0.0, *ends[:-1]]
    return Utterance(samples, rate, starts, [of_arpabet(p) for p, _ in pairs], f"flite:{voice}")


def festival(rng: random.Random, text: str) -> Utterance:
    """One English sentence by Festival, whose segments print as `phone end` lines."""
    voice = rng.choice(FESTIVAL_VOICES)
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder, "speech.wav")
        program = f"""
            (voice_{voice})
            (Parameter.set 'Duration_Stretch {rng.uniform(0.8, 1.25):.2f})
            (set! spoken (utt.synth (Utterance Text "{text}")))
            (utt.save.wave spoken "{wav}" 'riff)
            (mapcar (lambda (s) (format t "%s %f\\n" (item.name s) (item.feat s 'end)))
                    (utt.relation.items spoken 'Segment))"""
        command = ["festival", "-b", f"(begin {program})"]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        samples, rate = soundfile.read(wav, dtype="float32")
    pairs = [line.split() for line in printed.splitlines()]
    starts = [0.0, *(float(end) for _, end in pairs[:-1])]
    return Utterance(
        samples, rate, starts, [of_arpabet(phone) for phone, _ in pairs], f"festival:{voice}"
    )


def viseme_track(utterance: Utterance) -> npt.NDArray[np.uint8]:
    """Viseme of every 20 ms; a phone of two shapes is cut in the middle."""
    end_s = len(utterance.samples) / utterance.rate
    track = np.zeros(int(end_s * VISEME_RATE), np.uint8)
    ends = [*utterance.starts_s[1:], end_s]
    for start, end, shapes in zip(utterance.starts_s, ends, utterance.visemes, strict=True):
        for i, shape in enumerate(shapes):
            first, last = (start + (end - start) * (i + k) / len(shapes) for k in (0, 1))
            track[round(first * VISEME_RATE) : round(last * VISEME_RATE)] = shape
    return track


def main() -> None:
    """Speak until enough minutes are on disk."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=240)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    rng = random.Random(arguments.seed)
    vocabularies = {language: words(name) for language, name in WORD_LISTS.items()}
    espeak = Espeak()
    languages = [*vocabularies, "en-us", "en-us"]
    total_s, index = 0.0, 0
    while total_s < arguments.minutes * 60:
        english = index % 4 == 0 or index % 8 == 1
        language = "en-us" if english else rng.choice(languages)
        text = sentence(rng, language, vocabularies[language])
        if index % 4 == 0:
            spoken = flite(rng, text)
        elif english:
            spoken = festival(rng, text)
        else:
            spoken = espeak.speak(rng, language, text)
        wave = soxr.resample(spoken.samples, spoken.rate, SAMPLE_RATE)
        np.savez(
            arguments.out / f"{index:05d}.npz",
            samples=(np.clip(wave, -1, 1) * 32767).astype(np.int16),
            visemes=viseme_track(spoken),
            voice=spoken.voice,
        )
        total_s += len(wave) / SAMPLE_RATE
        index += 1
    log.info("%d utterances, %.0f minutes", index, total_s / 60)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
