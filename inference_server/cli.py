"""The command line: `animate-portrait render | motion | analyze | learn-style | ...`.

Exit status 0 and a result, or 1 (2 for a wrong command line, 130 for Ctrl-C) and one line on
stderr. With `--json` stdout holds one JSON object and nothing else.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from . import __version__, align_command, interchange_command, protocol, weights_command
from .errors import AnimatePortraitError, SpecInvalid

if TYPE_CHECKING:
    from .console import Console

log = logging.getLogger(__name__)

_OPTIONS = {  # field of the spec -> what sets it
    "face_index": "--face",
    "audio.start_s": "--start",
    "audio.duration_s": "--duration",
    **{
        name: f"--{name}"
        for name in ("fps", "size", "renderer", "style", "seed", "holds", "lead", "amounts", "cues")
    },
    "overruled": "--overrule",
    "audio.path": "AUDIO",
    "image": "PORTRAIT",
    "out_dir": "--out",
    "file": "--out",
    "format": "--to",
    "n_frames": "--frames",
}
_EDITS_EXAMPLE = '{"lip_open": {"10": 0.0}}: channel, frame, value'
_AMOUNTS_EXAMPLE = '{"lip_amount": [[0, 1.0], [24, 0.5]]}: frame, factor'
_CUES_EXAMPLE = '[{"frame": 12, "kind": "blink"}]'


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    if options.command == "serve":
        from .serve import serve

        serve(options.idle_timeout)
        return 0
    from .console import Console

    console = Console()
    try:
        status: int = options.run(options, console)
    except AnimatePortraitError as failure:
        log.info("Failed", exc_info=True)
        console.fail(_in_words_of_options(str(failure)))
        return 1
    except KeyboardInterrupt:
        console.fail("Interrupted.")
        return 130
    except Exception as failure:
        log.exception("A fault of the program")
        where = f' The details are in "{console.log_path}".' if console.log_path else ""
        console.fail(f"The program failed ({type(failure).__name__}: {failure}).{where}")
        return 1
    return status


def _in_words_of_options(text: str) -> str:
    """A message about a field of the spec, with the name of the option that sets it."""
    field, verb, rest = text.partition(" is ")
    return f"{_OPTIONS.get(field, field)}{verb}{rest}"


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(2, f"error: {' '.join(message.split())} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="animate-portrait", description="Animates a portrait from speech.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_render(commands.add_parser("render", help="portrait and sound to a folder of frames"))
    _add_motion(commands.add_parser("motion", help="sound to a motion.npz, without a portrait"))
    analyze = commands.add_parser("analyze", help="find the faces of a picture")
    analyze.add_argument("image", metavar="IMAGE")
    analyze.add_argument("--landmarks", metavar="FILE", help="hand-placed points, JSON")
    analyze.set_defaults(run=_analyze)
    learn = commands.add_parser("learn-style", help="how one person speaks, from a video of them")
    learn.add_argument("clip", metavar="CLIP")
    learn.add_argument("-o", "--out", required=True, metavar="STYLE.safetensors")
    learn.set_defaults(run=_learn_style)
    align = commands.add_parser("align", help="when each word of a transcript is said")
    align_command.add(align)
    doctor = commands.add_parser("doctor", help="look whether everything is installed")
    doctor.set_defaults(run=_doctor)
    interchange_command.add(commands)
    models = commands.add_parser("models", help="weight files")
    weights_command.add(models.add_subparsers(dest="action", required=True, metavar="ACTION"))
    moving = (commands.choices["render"], commands.choices["motion"])
    for command in (*moving, analyze, learn, align, doctor):
        command.add_argument("--json", action="store_true", help="one JSON object on stdout")
    serve = commands.add_parser("serve", help="the server that the add-on talks to")
    serve.add_argument("--idle-timeout", type=float, default=900.0, metavar="SECONDS")
    return parser


def _add_render(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("portrait", metavar="PORTRAIT")
    parser.add_argument("audio", metavar="AUDIO")
    parser.add_argument("-o", "--out", required=True, metavar="TAKE_DIR")
    parser.add_argument("--size", type=int, default=512, help="px, longer side")
    parser.add_argument("--renderer", default="mesh_warp")
    parser.add_argument("--style", default="photo")
    parser.add_argument("--style-image", metavar="PICTURE", help="lends its palette and strokes")
    parser.add_argument("--holds", default="1", help="1, 2, 3, or where drawings start: 0,5,9")
    parser.add_argument("--lead", type=int, default=0, help="frames ahead of the sound, 0 to 2")
    parser.add_argument("--face", type=int, default=0, help="0 is the largest face")
    parser.add_argument("--channels", metavar="EDITS.json", help="channel -> frame -> value")
    parser.add_argument("--amounts", metavar="AMOUNTS.json", help="name -> [frame, factor] ...")
    parser.add_argument("--cues", metavar="CUES.json", help="blinks and gaze, as in take.json")
    parser.add_argument("--overrule", metavar="FRAMES", help="accept the breaches on 4,9,...")
    parser.add_argument("--base-take", metavar="DIR", help="link unchanged frames from it")
    parser.add_argument("--landmarks", metavar="POINTS.json", help="hand-placed points")
    parser.add_argument("--framing", choices=("crop", "picture"), help="the face, or all of it")
    parser.add_argument("--alpha", action="store_true", help="transparent background")
    _add_speech(parser)
    parser.add_argument("--mp4", metavar="FILE", help="also write a movie with the sound")
    parser.set_defaults(run=_render)


def _add_motion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("audio", metavar="AUDIO")
    parser.add_argument("-o", "--out", required=True, metavar="MOTION.npz")
    _add_speech(parser)
    parser.set_defaults(run=_motion)


def _add_speech(parser: argparse.ArgumentParser) -> None:
    names = ", ".join(param.name for param in protocol.PARAMS)
    parser.add_argument("--fps", default="24", help="24, 23.976 or 24000/1001")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=float, default=0.0, metavar="S", help="seconds")
    parser.add_argument("--duration", type=float, metavar="S", help="seconds; default: to the end")
    parser.add_argument(
        "--param", action="append", default=[], metavar="NAME=VALUE", help=f"any of {names}"
    )


def _render(options: argparse.Namespace, console: Console) -> int:
    from .spec import parse_fps, parse_spec

    fps = parse_fps(options.fps)
    params = _params(options.param)
    if options.style_image:
        params["style_image"] = options.style_image
    if options.framing:
        params["framing"] = options.framing
    if options.alpha:
        params["alpha"] = True
    spec = parse_spec(
        {
            "shot_id": Path(options.out).name,
            "image": options.portrait,
            "face_index": options.face,
            "landmarks": options.landmarks,
            "audio": {
                "path": options.audio,
                "start_s": options.start,
                "duration_s": options.duration,
            },
            "fps": [fps.numerator, fps.denominator],
            "size": options.size,
            "renderer": options.renderer,
            "style": options.style,
            "params": params,
            "seed": options.seed,
            "holds": _holds(options.holds),
            "lead": options.lead,
            "amounts": _json_of(options.amounts, "--amounts", _AMOUNTS_EXAMPLE),
            "cues": _json_of(options.cues, "--cues", _CUES_EXAMPLE),
            "overruled": _frames("--overrule", options.overrule),
            "channels": _json_of(options.channels, "--channels", _EDITS_EXAMPLE),
            "base_take": options.base_take,
            "out_dir": options.out,
        }
    )
    from .console import Bar
    from .motion.report import sentences
    from .pipeline import render
    from .takes import take_to_json

    movie = None
    if options.mp4:
        from .movie import Movie

        movie = Movie(Path(options.mp4), spec)
    with Bar(console, shown=not options.json) as bar:
        take = render(spec, bar.on_event)
    if movie is not None:
        movie.write(take)
    if options.json:
        console.say(json.dumps({**take_to_json(take), "take": str(take.path)}))
        return 0
    for warning in take.warnings:
        console.say(f"Note: {warning}")
    drawn, reused = len(take.rendered), len(take.reused)
    console.say(f"{take.path}: {take.n_frames} frames, {drawn} drawn, {reused} reused.")
    for sentence in sentences(take.report):
        console.say(sentence)
    for layer in take.layers:
        console.say(str(take.path / layer))
    if options.mp4:
        console.say(options.mp4)
    return 0


def _motion(options: argparse.Namespace, console: Console) -> int:
    from .spec import parse_fps, parse_voice

    audio, seed, params = parse_voice(
        {"path": options.audio, "start_s": options.start, "duration_s": options.duration},
        options.seed,
        _params(options.param),
    )
    fps = parse_fps(options.fps)
    from .pipeline import Studio, save_motion
    from .take_folder import check_out_file

    target = Path(options.out).absolute()
    check_out_file(target, audio.path)
    motion, warnings = Studio().speak(audio, fps, seed, params)
    save_motion(motion, target)
    if options.json:
        rate = [fps.numerator, fps.denominator]
        content = {"motion": str(target), "n_frames": motion.n_frames, "fps": rate}
        console.say(json.dumps({**content, "warnings": warnings}))
    else:
        for warning in warnings:
            console.say(f"Note: {warning}")
        console.say(f"{target}: {motion.n_frames} frames.")
    return 0


def _analyze(options: argparse.Namespace, console: Console) -> int:
    from .pipeline import analysis_to_json, analyze, correction_to_json

    points = Path(options.landmarks) if options.landmarks else None
    portrait = analyze(Path(options.image), points)
    if options.json:
        console.say(json.dumps(correction_to_json(portrait)))
        return 0
    found = analysis_to_json(portrait)
    console.say(f"{options.image}: {found['width']}x{found['height']} px, {found['kind']}")
    for index, face in enumerate(found["faces"]):
        x0, y0, x1, y1 = face["box"]
        where = f"{x1 - x0:.0f}x{y1 - y0:.0f} px at {x0:.0f}, {y0:.0f}"
        console.say(f"  face {index}: {where} ({face['source']}, score {face['score']:.2f})")
    return 0


def _learn_style(options: argparse.Namespace, console: Console) -> int:
    from .learn_style import learn, style_path
    from .speech.style import write_style
    from .take_folder import check_out_file, writing

    clip, target = Path(options.clip), style_path(options.out)
    check_out_file(target, clip)
    lesson = learn(clip)
    with writing(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_style(lesson.style, target, clip.name)
    if options.json:
        fits = {name: [round(each, 3) for each in fit] for name, fit in lesson.fits.items()}
        fields = {
            "seconds": round(lesson.seconds, 2),
            "lag_ms": lesson.lag_ms,
            "likeness": round(lesson.likeness, 3),
            "fits": fits,
            "findings": lesson.findings,
        }
        console.say(json.dumps({"style": str(target), **fields}))
        return 0
    early = "late" if lesson.lag_ms > 0 else "early"
    lag = f"; the sound is {abs(lesson.lag_ms)} ms {early} (corrected)" if lesson.lag_ms else ""
    console.say(f"{target}: from {lesson.seconds:.0f} s{lag}.")
    for finding in lesson.findings:
        console.say(f"  {finding}")
    return 0


def _doctor(options: argparse.Namespace, console: Console) -> int:
    from .doctor import examine

    checks = examine()
    all_ok = all(check.ok for check in checks)
    if options.json:
        rows = [
            {"name": check.name, "ok": check.ok, "text": check.text, "hint": check.hint}
            for check in checks
        ]
        console.say(json.dumps({"ok": all_ok, "checks": rows}))
    else:
        for check in checks:
            hint = "" if check.ok else f"  {check.hint}"
            console.say(f"{'ok  ' if check.ok else 'BAD '} {check.name}: {check.text}{hint}")
    if not all_ok:
        names = ", ".join(check.name for check in checks if not check.ok)
        console.fail(f"Not in order: {names}.")
    return 0 if all_ok else 1


def _params(pairs: Sequence[str]) -> dict[str, Any]:
    """`NAME=VALUE` as JSON: true, false and numbers are what they look like."""
    params: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise SpecInvalid(f'--param is "{pair}".', "It must be NAME=VALUE.")
        try:
            params[name] = json.loads(text)
        except (ValueError, RecursionError):
            params[name] = text
    return params


def _holds(given: str) -> int | list[int] | None:
    return int(given) if given.isdecimal() else _frames("--holds", given)


def _frames(option: str, given: str | None) -> list[int] | None:
    """Frames as people list them: "0,5,9"."""
    if given is None:
        return None
    parts = [part.strip() for part in given.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise SpecInvalid(f'{option} is "{given}".', "It must be frames: 0,5,9.")
    return [int(part) for part in parts]


def _json_of(path: str | None, option: str, example: str) -> Any:
    """What a JSON file holds; None without one."""
    if path is None:
        return None
    try:
        return json.loads(Path(path).read_bytes())
    except OSError as failure:
        text = f'Cannot read "{path}": {failure.strerror}.'
        raise SpecInvalid(text, f"Check the path after {option}.") from failure
    except (ValueError, RecursionError) as failure:
        text = f'"{path}" is not JSON: {failure}.'
        raise SpecInvalid(text, f"{option} must be like {example}.") from failure


if __name__ == "__main__":
    sys.exit(main())
