"""A server that speaks the protocol and draws tiny grey frames, for the add-on's edge cases.

How it behaves is said by the environment variable FAKE_SERVER, a JSON object:
    frame_s      time that a drawn frame takes
    protocol     answered in hello
    die_at       exit with `die_code` (negative: a signal) when this frame is reached
    deaf         never answer a cancel
    mute         never answer anything
    babble       write a line that is no JSON first
    refuse       error message that every render gets
A frame's grey is 200 * lip_open + 20.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import os
import queue
import signal
import struct
import sys
import threading
import time
import zlib
from pathlib import Path

import numpy as np

_SPEC = importlib.util.spec_from_file_location(
    "protocol", Path(__file__).resolve().parents[2] / "blender_addon" / "protocol.py"
)
protocol = importlib.util.module_from_spec(_SPEC)
sys.modules["protocol"] = protocol
_SPEC.loader.exec_module(protocol)

SIDE = 16  # px
WARNING = "A fake server drew this."  # said at once and again with the result, as the real one does
BEHAVIOUR = json.loads(os.environ.get("FAKE_SERVER", "{}"))


def png(grey: int) -> bytes:
    rows = (b"\0" + bytes([grey] * 3) * SIDE) * SIDE

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def generated(n_frames: int, seed: int) -> dict[str, list[float]]:
    values = {}
    for number, channel in enumerate(protocol.CHANNELS):
        span = channel.maximum - channel.minimum
        wave = [math.sin(0.7 * f + number + seed) for f in range(n_frames)]
        low = max(channel.minimum, channel.rest - span / 4)
        high = min(channel.maximum, channel.rest + span / 4)
        values[channel.name] = [round((low + high) / 2 + (high - low) / 2 * w, 6) for w in wave]
    return values


def blinks(spec: dict) -> list[dict]:
    placed = [cue for cue in spec.get("cues") or [] if cue["kind"] == "blink"]
    if placed or spec.get("cues") == []:
        return placed
    return [
        {"frame": 10, "kind": "blink", "eye": "both"},
        {"frame": 40, "kind": "blink", "eye": "l"},
    ]


def directed(made: dict[str, list[float]], spec: dict) -> dict[str, list[float]]:
    """Amounts scale the mouth, blinks shut the eyes."""
    points = (spec.get("amounts") or {}).get("lip_amount")
    n_frames = len(made["lip_open"])
    if points:
        factors = np.interp(range(n_frames), *np.array(points).T)
        made["lip_open"] = [round(v * f, 6) for v, f in zip(made["lip_open"], factors, strict=True)]
    for cue in blinks(spec):
        for eye in "lr":
            if cue["eye"] in ("both", eye) and cue["frame"] < n_frames:
                made[f"eye_open_{eye}"][cue["frame"]] = 0.0
    return made


class Server:
    def __init__(self) -> None:
        self.out = os.fdopen(os.dup(1), "wb")
        self.lock = threading.Lock()
        self.cancelled: set[int] = set()
        self.jobs: queue.SimpleQueue = queue.SimpleQueue()

    def say(self, line: bytes) -> None:
        with self.lock:
            self.out.write(line)
            self.out.flush()

    def run(self) -> None:
        if BEHAVIOUR.get("babble"):
            self.say(b"hello, I am no JSON\n")
        threading.Thread(target=self.work, daemon=True).start()
        for line in sys.stdin.buffer:
            message = json.loads(line)
            method, params = message["method"], message.get("params", {})
            if BEHAVIOUR.get("mute"):
                continue
            if method == "hello":
                self.say(protocol.result(message["id"], self.hello()))
            elif method == "ping":
                self.say(protocol.result(message["id"], {"uptime_s": 1.5, "busy": False}))
            elif method == "import":
                row = {str(f): 0.5 if 10 <= f < 20 else 0.0 for f in range(params["n_frames"])}
                cues = [{"frame": f, "shape": s} for f, s in ((0, "X"), (10, "C"), (20, "X"))]
                value = {"shapes": "Rhubarb", "cues": cues, "channels": {"lip_open": row}}
                self.say(protocol.result(message["id"], value))
            elif method == "export":
                Path(params["file"]).write_text(f"{params['format']} of {params['take']}")
                self.say(protocol.result(message["id"], {"file": params["file"], "cues": 3}))
            elif method == "render":
                self.jobs.put((message["id"], params["spec"]))
            elif method == "cancel" and not BEHAVIOUR.get("deaf"):
                self.cancelled.add(params["id"])
            elif method == "shutdown":
                break
        os._exit(0)

    def hello(self) -> dict:
        photo = {"name": "photo", "label": "Photo", "available": True, "reason": ""}
        ink = {"name": "ink", "label": "Ink", "available": True, "reason": ""}
        oil = {"name": "oil", "label": "Oil", "available": False, "reason": "not painted yet"}
        warp = {"name": "mesh_warp", "label": "Mesh Warp", "available": True, "reason": ""}
        return {
            "protocol": BEHAVIOUR.get("protocol", protocol.PROTOCOL_VERSION),
            "version": "0.0.fake",
            "pid": os.getpid(),
            "python": "3.11",
            "home": os.environ.get("ANIMATE_PORTRAIT_HOME", ""),
            "renderers": [warp],
            "styles": [photo, ink, oil],
        }

    def work(self) -> None:
        while True:
            request, spec = self.jobs.get()
            if "refuse" in BEHAVIOUR:
                text, hint = BEHAVIOUR["refuse"], "Try another picture."
                self.say(protocol.error(request, -32000, text, "NoFaceFound", hint))
                continue
            value = self.render(request, spec)
            if value is None:
                self.say(protocol.error(request, -32000, "Cancelled.", "Cancelled"))
            else:
                self.say(protocol.result(request, value))

    def progress(self, request: int, stage: str, done: int, total: int) -> None:
        event = {"id": request, "stage": stage, "done": done, "total": total, "eta_s": 1.0}
        self.say(protocol.notification("progress", event))

    def render(self, request: int, spec: dict) -> dict | None:
        n_frames, out = spec["n_frames"], Path(spec["out_dir"])
        out.mkdir(parents=True, exist_ok=True)
        made = directed(generated(n_frames, spec["seed"]), spec)
        drawn = {name: list(row) for name, row in made.items()}
        edits = spec["channels"] or {}
        for name, frames in edits.items():
            for frame, value in frames.items():
                drawn[name][int(frame)] = value
        keys = [self.key(spec, drawn, frame) for frame in range(n_frames)]
        base, known = Path(spec["base_take"] or "."), {}
        if spec["base_take"]:
            old = json.loads((base / "take.json").read_text())
            known = {key: frame for frame, key in enumerate(old["frame_keys"])}
        rendered = []
        self.say(protocol.notification("log", {"level": "warning", "message": WARNING}))
        for stage in ("portrait", "speech", "motion", "prepare"):
            self.progress(request, stage, 1, 1)
        for frame, key in enumerate(keys):
            if request in self.cancelled:
                return None
            self.maybe_die(frame)
            path = out / f"{frame:06d}.png"
            if key in known:
                path.unlink(missing_ok=True)
                os.link(base / f"{known[key]:06d}.png", path)
                continue
            time.sleep(BEHAVIOUR.get("frame_s", 0.0))
            self.draw(path, round(200 * drawn["lip_open"][frame] + 20))
            rendered.append(frame)
            if frame % 20 == 0:
                self.progress(request, "render", frame, n_frames)
                self.say(protocol.notification("frames", {"id": request, "frames": [frame]}))
        self.finish(out, spec, made, drawn, keys, rendered)
        return {
            "take": str(out),
            "n_frames": n_frames,
            "rendered": len(rendered),
            "reused": n_frames - len(rendered),
            "warnings": [WARNING],
            "seconds": {},
        }

    def key(self, spec: dict, drawn: dict, frame: int) -> str:
        facts = [
            spec["style"],
            spec["size"],
            spec.get("lead", 0),
            *(row[frame] for row in drawn.values()),
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def draw(self, path: Path, grey: int) -> None:
        """Linked where the same grey is there already: long shots are drawn in no time."""
        path.unlink(missing_ok=True)
        same = path.parent / f"grey_{grey}.png"
        if not same.exists():
            same.write_bytes(png(grey))
        os.link(same, path)

    def draw_layers(self, out: Path, spec: dict, drawn: dict) -> list[str]:
        """The head is as grey as the frame, the background black."""
        names = ["background", "head"] if spec["params"].get("layers") else []
        for name in names:
            (out / name).mkdir(exist_ok=True)
            for frame, value in enumerate(drawn["lip_open"]):
                grey = round(200 * value + 20) if name == "head" else 0
                (out / name / f"{frame:06d}.png").write_bytes(png(grey))
        return names

    def maybe_die(self, frame: int) -> None:
        if BEHAVIOUR.get("die_at") == frame:
            print("RuntimeError: the fake server is told to die", file=sys.stderr, flush=True)
            code = BEHAVIOUR.get("die_code", 3)
            if code < 0:
                os.kill(os.getpid(), signal.Signals(-code))
                time.sleep(10)  # the signal comes in its own time
            os._exit(code)

    def finish(self, out, spec, made, drawn, keys, rendered) -> None:
        n_frames = len(keys)
        points = np.zeros((n_frames, 68, 2), np.float32)
        points[:, :, 0] = np.arange(68)
        points[:, :, 1] = np.arange(n_frames)[:, None] % SIDE
        np.savez(out / "landmarks.npz", ibug=points, mesh=np.zeros((n_frames, 478, 2), np.float32))
        expression = np.zeros((n_frames, 52), np.float32)
        expression[:, 24] = drawn["lip_open"]  # jawOpen
        np.savez(out / "motion.npz", expression=expression)
        breaches = [{"frame": frame, "kind": "open_closure"} for frame in (2, 30)]
        accepted = spec.get("overruled") or []
        document = {
            "version": 1,
            "n_frames": n_frames,
            "fps": spec["fps"],
            "size": [SIDE, SIDE],
            "rendered": rendered,
            "reused": [frame for frame in range(n_frames) if frame not in set(rendered)],
            "report": {
                "silence_motion": 0.01,
                "closures": {"hits": 3, "total": 4},
                "breaches": [b for b in breaches if b["frame"] not in accepted],
                "overruled": [b for b in breaches if b["frame"] in accepted],
            },
            "cues": blinks(spec),
            "layers": self.draw_layers(out, spec, drawn),
            "spec": spec,
            "frame_keys": keys,
            "channels": drawn,
            "generated": made,
            "edited": {n: sorted(map(int, f)) for n, f in (spec["channels"] or {}).items()},
            "portrait": {"box": [0, 0, SIDE, SIDE], "picture_size": [SIDE, SIDE]},
            "versions": {},
            "weights": {},
            "seconds": {},
            "warnings": [WARNING],
        }
        (out / "take.json").write_text(json.dumps(document))


if __name__ == "__main__":
    Server().run()
