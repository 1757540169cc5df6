"""Real speech with the times of its phones: the network's second teacher.

    python -m inference_server.training.speech_aligned OUT_DIR TRACKS_DIR TRANSCRIPTS_DIR

TRANSCRIPTS_DIR holds GRID's word files (NAME.align: `start end word` lines); TRACKS_DIR the tracks
of the clips (training.speech_tracks), whose sound is aligned to the words by pocketsphinx. Writes
one NPZ per clip in the format of training.speech_synthetic; its `voice` is "grid".
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pocketsphinx

from inference_server.speech.visemes import of_arpabet
from inference_server.training.speech_synthetic import SAMPLE_RATE, Utterance, viseme_track

log = logging.getLogger(__name__)

_FRAMES_PER_S = 100  # of the recogniser
_SILENCE = ("sil", "sp")
_BEAM = 1e-80  # a given text leaves little to search


def words(transcript: Path) -> list[str]:
    """What is said in a clip of GRID."""
    lines = [line.split() for line in transcript.read_text().splitlines() if line.strip()]
    return [word for _, _, word in lines if word not in _SILENCE]


def decoder() -> pocketsphinx.Decoder:
    """A recogniser that knows English pronunciations and expects a given text."""
    folder = f"{pocketsphinx.get_model_path()}/en-us"
    dictionary = f"{folder}/cmudict-en-us.dict"
    return pocketsphinx.Decoder(hmm=f"{folder}/en-us", dict=dictionary, lm=None, loglevel="FATAL")


def align(
    ears: pocketsphinx.Decoder, samples: npt.NDArray[np.int16], text: str
) -> Utterance | None:
    """Phones of a known text in 16 kHz sound; None where the text does not fit."""
    try:
        ears.set_align_text(text)
        _hear(ears, samples)
        ears.set_alignment()
        _hear(ears, samples)
    except RuntimeError:  # its only way to say that no path reaches the end
        return None
    phones = [phone for word in ears.get_alignment() for phone in word]
    return Utterance(
        samples.astype(np.float32) / 32768,
        SAMPLE_RATE,
        [phone.start / _FRAMES_PER_S for phone in phones],
        [of_arpabet(phone.name) for phone in phones],
        "grid",
    )


def _hear(ears: pocketsphinx.Decoder, samples: npt.NDArray[np.int16]) -> None:
    ears.start_utt()
    ears.process_raw(samples.tobytes(), False, True)
    ears.end_utt()


def main(arguments: list[str]) -> None:
    """Align every transcript that has a track."""
    out, tracks, transcripts = map(Path, arguments)
    out.mkdir(parents=True, exist_ok=True)
    ears = decoder()
    aligned = 0
    for transcript in sorted(transcripts.glob("*.align")):
        track = tracks / f"{transcript.stem}.npz"
        if not track.exists():
            continue
        with np.load(track) as data:
            samples = data["samples"]
        spoken = align(ears, samples, " ".join(words(transcript)))
        if spoken is not None:
            visemes = viseme_track(spoken)
            np.savez(
                out / f"{transcript.stem}.npz", samples=samples, visemes=visemes, voice=spoken.voice
            )
            aligned += 1
    log.info("%d clips aligned", aligned)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main(sys.argv[1:])
