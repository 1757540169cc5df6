"""Track the face in talking clips: what the speech network learns from and is judged on.

    python -m inference_server.training.speech_tracks OUT_DIR CLIP [CLIP ...]

Writes OUT_DIR/<clip name>.npz: `lips` (T, 40, 3) and `chin` (T, 5, 3) float32, head-stabilised,
frontal, in units of the distance between the outer eye corners (x right, y down, z away), `mesh`
(T, 478, 3) float32 px, `found` (T,) bool, `fps`, and `samples` int16 16 kHz mono that start with
the first picture. Existing files are kept.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt

from inference_server.portrait.video import CHIN, LIPS, stabilise, track

log = logging.getLogger(__name__)

SAMPLE_RATE = 16_000  # Hz
FEWEST_FRAMES = 10


def sound(clip: Path) -> npt.NDArray[np.int16]:
    """The clip's sound, 16 kHz mono, from the time of its first picture."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(clip), "-vn"]
    command += ["-af", "aresample=async=1:first_pts=0"]
    command += ["-ac", "1", "-ar", str(SAMPLE_RATE), "-f", "s16le", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.int16)


def write_track(clip: Path, out: Path) -> None:
    """Track one clip into the file `out`."""
    mesh, found, fps = track(clip)
    if found.sum() < FEWEST_FRAMES:
        log.warning("%s: a face in %d frames only, left out", clip.name, found.sum())
        return
    stable = stabilise(mesh, found)
    np.savez_compressed(
        out,
        lips=stable[:, LIPS].astype(np.float32),
        chin=stable[:, CHIN].astype(np.float32),
        mesh=mesh.astype(np.float32),
        found=found,
        fps=fps,
        samples=sound(clip),
    )


def main(arguments: list[str]) -> None:
    """Track every clip named on the command line."""
    out_dir = Path(arguments[0])
    out_dir.mkdir(parents=True, exist_ok=True)
    for clip in map(Path, arguments[1:]):
        out = out_dir / f"{clip.stem}.npz"
        if not out.exists():
            write_track(clip, out)
            log.info("tracked %s", clip.name)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main(sys.argv[1:])
