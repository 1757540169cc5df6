"""The command as a program: exit status, stdout, stderr and files."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference_server import __version__, protocol, render
from inference_server.directions import parse_channels
from inference_server.errors import FolderNotWritable
from inference_server.movie import Movie
from inference_server.spec import parse_spec

ROOT = Path(__file__).resolve().parents[2]


class Program:
    """Runs `python -m inference_server` somewhere else, with a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        home = folder / "home"
        self.environment = {
            **os.environ,
            "ANIMATE_PORTRAIT_HOME": str(home),
            "PYTHONPATH": str(ROOT),
        }

    def __call__(self, *words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "inference_server", *map(str, words)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
            timeout=120,
        )


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return Program(tmp_path_factory.mktemp("work"))


def one_line(text: str) -> str:
    assert text.endswith("\n")
    assert text.count("\n") == 1, text
    return text


def failed(done: subprocess.CompletedProcess[str], status: int = 1) -> str:
    assert done.returncode == status, done
    assert done.stdout == ""
    line = one_line(done.stderr)
    assert line.startswith("error: ")
    assert "Traceback" not in line
    return line


@pytest.mark.slow
def test_render_with_movie(program: Program, portrait_path: Path, tone: Path) -> None:
    (program.folder / "edits é.json").write_text('{"lip_open": {"2": 0.5}}')
    (program.folder / "cues.json").write_text('[{"frame": 4, "kind": "blink", "eye": "l"}]')
    (program.folder / "amounts.json").write_text('{"head_amount": [[0, 0.5]]}')
    done = program(
        "render", portrait_path, tone, "-o", "take 100%", "--fps", "24000/1001", "--size", "129",
        "--start", "0.5", "--duration", "0.4", "--style", "ink", "--seed", "3", "--holds", "2",
        "--channels", "edits é.json", "--param", "line_weight=1.5", "--mp4", "out/movie.mp4",
        "--json", "--cues", "cues.json", "--amounts", "amounts.json", "--lead", "1",
        "--overrule", "2,7",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(one_line(done.stdout))
    take = program.folder / "take 100%"
    assert said["take"] == str(take)
    assert (said["n_frames"], said["fps"], said["size"]) == (10, [24000, 1001], [129, 129])
    assert said["spec"]["audio"]["start_s"] == 0.5
    assert said["spec"]["params"] == {"line_weight": 1.5}
    assert (said["spec"]["style"], said["spec"]["seed"], said["spec"]["holds"]) == ("ink", 3, 2)
    assert said["channels"]["lip_open"][2] == 0.5
    assert said["edited"] == {"lip_open": [2]}
    assert said["cues"] == [{"frame": 4, "kind": "blink", "eye": "l"}]
    assert said["spec"]["amounts"] == {"head_amount": [[0, 0.5]]}
    assert (said["spec"]["lead"], said["spec"]["overruled"]) == (1, [2, 7])
    written = json.loads((take / "take.json").read_text("utf-8"))
    assert {**written, "take": str(take)} == said
    movie = probe(program.folder / "out" / "movie.mp4")
    assert movie["rate"] == Fraction(24000, 1001)
    assert movie["size"] == "128x128"
    assert movie["frames"] == 10
    assert movie["pixels"] == "yuv420p"
    assert abs(movie["sound_s"] - 10 * 1001 / 24000) < 0.03
    assert [path.name for path in (program.folder / "out").iterdir()] == ["movie.mp4"]

    again = program(
        "render", portrait_path, tone, "-o", "take 100%", "--fps", "23.976", "--size", "129",
        "--start", "0.5", "--duration", "0.4", "--style", "ink", "--seed", "3", "--holds", "2",
        "--channels", "edits é.json", "--param", "line_weight=1.5", "--cues", "cues.json",
        "--amounts", "amounts.json", "--lead", "1",
    )  # fmt: skip
    assert again.returncode == 0
    assert "10 frames, 0 drawn, 10 reused" in again.stdout
    closures = said["report"]["closures"]
    assert f"Lips: {closures['hits']} of {closures['total']} closures shut" in again.stdout
    assert "exists" not in again.stderr


def test_a_movie_that_fails_leaves_frames_but_no_take(
    portrait_path: Path, tone: Path, tmp_path: Path
) -> None:
    sound = tmp_path / "voice.wav"
    shutil.copy(tone, sound)
    spec = parse_spec(
        {
            "image": str(portrait_path),
            "audio": {"path": str(sound), "duration_s": 0.1},
            "fps": [24, 1],
            "size": 128,
            "out_dir": str(tmp_path / "take"),
        }
    )
    movie = Movie(tmp_path / "movie.mp4", spec)
    take = render(spec)
    sound.write_bytes(b"no sound any more")
    with pytest.raises(FolderNotWritable, match="ffmpeg could not write"):
        movie.write(take)
    assert (take.path / "000000.png").is_file()
    assert not (take.path / "take.json").exists()
    assert not list(tmp_path.glob("*movie*")) + list(tmp_path.glob("*.part"))


def probe(path: Path) -> dict[str, object]:
    """What ffmpeg reads from a movie, decoding all of it."""
    import imageio_ffmpeg

    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    command = [ffmpeg, "-i", str(path), "-map", "0:v", "-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    sound = subprocess.run(
        [ffmpeg, "-v", "error", "-i", str(path), "-map", "0:a", "-f", "f32le", "-ac", "1", "-"],
        capture_output=True,
        check=True,
    ).stdout
    rate = re.search(r"Audio: aac.* (\d+) Hz", said)
    video = re.search(r"Video: h264.* (yuv\w+)\W.* (\d+x\d+).* ([\d.]+) fps", said)
    assert rate
    assert video
    frames = re.findall(r"frame=\s*(\d+)", said)
    ticks = {"23.98": Fraction(24000, 1001)}
    return {
        "rate": ticks.get(video[3]) or Fraction(video[3]),
        "size": video[2],
        "pixels": video[1],
        "frames": int(frames[-1]),
        "sound_s": len(sound) / 4 / int(rate[1]),
    }


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["render", "no.png", "no.wav", "-o", "t", "--size", "5000"], "size is 5000"),
        (["render", "no.png", "no.wav", "-o", "t", "--fps", "fast"], "fps is 'fast'"),
        (["render", "no.png", "no.wav", "-o", "t", "--style", "oils"], "style is 'oils'"),
        (["render", "no.png", "no.wav", "-o", "t", "--param", "x=1"], "'x'"),
        (["render", "no.png", "no.wav", "-o", "t", "--param", "alpha"], "NAME=VALUE"),
        (["render", "no.png", "no.wav", "-o", "t", "--channels", "no.json"], "no.json"),
        (["render", "no.png", "no.wav", "-o", "t", "--json"], "no.png"),
        (["render", "no.png", "no.wav", "-o", "t", "--mp4", "no.wav"], "no.wav"),
        (["render", "no.png", "no.wav", "-o", "t", "--mp4", "."], "is a folder"),
        (["render", "no.png", "no.wav", "-o", "t", "--mp4", f"{__file__}/m.mp4"], "Cannot write"),
        (["analyze", "no\nface.png"], "face.png"),
        (["motion", "no.wav", "-o", "m.npz"], "no.wav"),
        (["motion", "no.wav", "-o", "m.npz", "--start", "-1"], "--start is -1"),
        (["render", "no.png", "no.wav", "-o", "t", "--face", "-1"], "--face is -1"),
        (["motion", __file__, "-o", __file__], "would be replaced"),
        (["motion", __file__, "-o", "."], "is a folder"),
        (["motion", __file__, "-o", f"{__file__}/m.npz"], "Cannot write"),
        (["learn-style", "no.mp4", "-o", f"{__file__}/s"], "Cannot write"),
        (["import", "no.tsv", "-o", "t"], '"no.tsv" is no file'),
        (["import", __file__, "-o", __file__], "would be replaced"),
        (["import", __file__, "-o", "t", "--frames", "0"], "--frames is 0"),
        (["import", __file__, "-o", "t"], "line 1"),
        (["export", "no", "-o", "t", "--to", "rhubarb.tsv"], 'no" holds no take'),
        (["export", "no", "-o", "t", "--to", "flash"], "--to is 'flash'"),
        (["models", "fetch", "nope"], "nope"),
        (["models", "import", "no.pth"], "no.pth"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(
    program: Program, words: list[str], named: str
) -> None:
    assert named in failed(program(*words))
    assert not (program.folder / "t").exists()
    assert not (program.folder / "m.npz").exists()


@pytest.mark.parametrize("words", [[], ["rendr"], ["render", "a.png"], ["models", "lst"]])
def test_wrong_command_line(program: Program, words: list[str]) -> None:
    assert "--help" in failed(program(*words), status=2)


def test_version_and_help(program: Program) -> None:
    assert program("--version").stdout.strip() == __version__
    text = program("render", "--help").stdout
    for option in (
        "PORTRAIT", "AUDIO", "-o", "--fps", "--size", "--renderer", "--style", "--seed", "--holds",
        "--face", "--start", "--duration", "--channels", "--base-take", "--landmarks", "--mp4",
        "--json", "--framing", "--alpha", "--param", "--lead", "--amounts", "--cues", "--overrule",
    ):  # fmt: skip
        assert option in text
    assert "--idle-timeout" in program("serve", "--help").stdout


def test_cues_out_of_a_take_and_into_another(
    program: Program, studio: Any, shot: Callable[..., Any]
) -> None:
    take = studio.render(shot(n_frames=24), lambda event: None, lambda: False)
    for kind in ("rhubarb.json", "moho.dat", "arkit.csv"):
        done = program("export", take.path, "--to", kind, "-o", kind, "--json")
        assert json.loads(one_line(done.stdout))["cues"] >= 3
        done = program("import", kind, "-o", "edits.json", "--frames", "20")
        assert "20 frames" in done.stdout
        edits = parse_channels(json.loads((program.folder / "edits.json").read_text()))
        assert len(edits["lip_open"]) == 20
    opened = edits["lip_open"]
    assert [opened[frame] for frame in range(20)] == pytest.approx(
        take.channels["lip_open"][:20], abs=1e-3
    )


def test_analyze(program: Program, portrait_path: Path) -> None:
    done = program("analyze", portrait_path, "--json")
    assert done.stderr == ""
    found = json.loads(one_line(done.stdout))
    assert (found["width"], found["height"], found["kind"]) == (512, 512, "photo")
    (face,) = found["faces"]
    assert len(face["landmarks"]) == 68
    assert face["source"] == "mediapipe"
    points = program.folder / "points.json"
    points.write_text(json.dumps(found))  # the same format that hand-placed points have
    by_hand = json.loads(program("analyze", portrait_path, "--landmarks", points, "--json").stdout)
    assert by_hand["faces"][0]["source"] == "manual"
    difference = np.subtract(by_hand["faces"][0]["landmarks"], face["landmarks"])
    assert np.abs(difference).max() < 0.03  # what rounding to px / 100 leaves
    assert "face 0" in program("analyze", portrait_path).stdout


@pytest.mark.slow
def test_motion(program: Program, tone: Path) -> None:
    done = program("motion", tone, "-o", "new/m.npz", "--fps", "25", "--seed", "2", "--json")
    assert done.stderr == ""
    target = program.folder / "new" / "m.npz"
    said = json.loads(one_line(done.stdout))
    assert said == {"motion": str(target), "n_frames": 50, "fps": [25, 1], "warnings": []}
    motion = np.load(target)
    assert motion["lips"].shape == (50, 40, 3)
    assert motion["fps"] == 25
    assert [path.name for path in target.parent.iterdir()] == ["m.npz"]


def test_models_list(program: Program) -> None:
    rows = json.loads(one_line(program("models", "list", "--json").stdout))["weights"]
    states = {row["file"]: row["state"] for row in rows}
    assert states["face_template"] == "ok"
    assert states["s3fd-619a316812.pth"] == "missing"
    assert all(row["licence"] for row in rows)
    assert program("models", "verify").returncode == 0


def test_a_clip_is_not_replaced_by_what_is_learned_from_it(program: Program) -> None:
    clip = program.folder / "clip.safetensors"
    clip.write_bytes(b"film")
    assert "would be replaced" in failed(program("learn-style", clip, "-o", "clip"))
    assert clip.read_bytes() == b"film"


@pytest.mark.slow
def test_doctor(program: Program) -> None:
    done = program("doctor", "--json")
    said = json.loads(one_line(done.stdout))
    bad = [check for check in said["checks"] if not check["ok"]]
    assert (bad, said["ok"], done.returncode, done.stderr) == ([], True, 0, "")
    names = {check["name"] for check in said["checks"]}
    assert {"torch", "mediapipe", "device", "ffmpeg", "home", "disk"} <= names


def test_doctor_names_what_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from inference_server import doctor

    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ANIMATE_PORTRAIT_HOME", str(tmp_path / "file" / "home"))
    monkeypatch.setattr(doctor, "PACKAGES", ("json", "no_such_package"))
    monkeypatch.setattr(doctor, "_device", lambda: doctor.Check("device", True, "cpu"))
    checks = {check.name: check for check in doctor.examine()}
    assert checks["json"].ok
    assert not checks["no_such_package"].ok
    assert not checks["home"].ok
    assert "ANIMATE_PORTRAIT_HOME" in checks["home"].hint


def test_every_param_can_be_given(program: Program) -> None:
    from inference_server.cli import _params
    from inference_server.spec import parse_params

    pairs = []
    for param in protocol.PARAMS:
        text = io.StringIO()
        json.dump(param.default, text)
        pairs.append(f"{param.name}={text.getvalue().strip(chr(34))}")
    defaults = {param.name: param.default for param in protocol.PARAMS}
    assert parse_params(_params(pairs)) == defaults
