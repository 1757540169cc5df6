"""An artist who does anything at any time: edit, render, cancel, undo, move, split, reload, kill.

After every operation no key is lost, no frame is wrong, no process is left over and nothing has
been printed by an exception. By hand, with the Python of a bpy wheel:

    python -m tests.addon.soak 1000 [SEED]
"""

from __future__ import annotations

import importlib
import json
import os
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import conftest, fake_server
from .conftest import Stage, addon

Snapshot = dict[str, tuple[str, dict[str, tuple[tuple[float, float], ...]]]]
REFUSALS = (  # what buttons may say; anything else is a bug
    *("No visible frame", "under the playhead fits", "is in the queue", "Nothing to", "poll()"),
    *("killed", "Cancelled", "exit code", "The server stopped", "fits its sound", "no frames for"),
)
_MOST_SHOTS = 4


class Soak:
    """One .blend and what is known about it."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage, self.chance = stage, random.Random(seed)
        self.done: dict[str, int] = {}
        self.checked_frames = 0
        os.environ["FAKE_SERVER"] = json.dumps({"frame_s": 0.0005})
        stage.bpy.context.preferences.edit.undo_steps = 256
        stage.animate()
        self._begin_history()

    def run(self, count: int) -> None:
        """So many operations."""
        names = [name[3:] for name in dir(self) if name.startswith("do_")]
        weights = [6 if name in ("key", "handle", "shape", "render") else 2 for name in names]
        for number in range(count):
            name = self.chance.choices(names, weights)[0]
            self.done[name] = self.done.get(name, 0) + 1
            self.stage.select(self.chance.choice(self.stage.shots))
            before = self.snapshot()
            try:
                getattr(self, f"do_{name}")()
                self.check(name, before)
            except AssertionError as failure:
                raise AssertionError(f"operation {number}, {name}: {failure}") from failure
        addon("jobs").JOBS.stop()
        assert not servers(), "a server lives on"

    @property
    def shot(self) -> Any:
        return addon("strips").active(self.stage.scene) or self.stage.shots[0]

    def snapshot(self) -> Snapshot:
        """Folder and keys of every shot."""
        found = {}
        for shot in self.stage.shots:
            rows = {}
            for name in addon("protocol").CHANNEL_NAMES:
                curve = self.stage.curve(shot, name)
                keys = addon("keys").read(curve)
                rows[name] = tuple(map(tuple, keys.fields["co"].tolist()))
            found[shot.name] = shot.directory, rows
        return found

    def artists(self) -> dict[str, dict[str, set[tuple[float, float]]]]:
        """The artist's keys of every shot."""
        found: dict[str, dict[str, set[tuple[float, float]]]] = {}
        for shot in self.stage.shots:
            take = addon("shots").known_or_read(shot)
            assert take is not None, f"the take of {shot.name} is gone"
            first = addon("strips").origin(shot)
            found[shot.name] = {
                channel.name: set(
                    map(
                        tuple,
                        addon("edited")
                        .artists(shot, channel, first, take, take.n_frames)[0]
                        .fields["co"]
                        .tolist(),
                    )
                )
                for channel in addon("protocol").CHANNELS
            }
        return found

    def check(self, name: str, before: Snapshot) -> None:
        """Frames and processes; what has become of the keys is checked by each operation."""
        assert len(servers()) <= 1, "two servers"
        assert self.stage.shots, "no shot is left"
        for shot in self.stage.shots:
            take = addon("shots").known_or_read(shot)
            assert take is not None, f"the take of {shot.name} is gone"
            for frame in self.chance.sample(range(take.n_frames), 6):
                value = take.asked["lip_open"][frame]
                wanted = fake_server.png(round(200 * value + 20))
                assert (take.folder / f"{frame:06d}.png").read_bytes() == wanted, f"frame {frame}"
                self.checked_frames += 1

    def step(self) -> None:
        """Blender's undo step after an operation of the artist's."""
        self.stage.push("soak")
        self._remember()

    def do_key(self) -> None:
        """A key that may replace another one, which is no loss."""
        channel = self.chance.choice(addon("protocol").CHANNELS)
        value, frame = self.chance.uniform(channel.minimum, channel.maximum), self.frame()
        self.stage.key(self.shot, channel.name, frame, value)
        self.replaced = channel.name, float(addon("strips").origin(self.shot) + frame)
        self.step()

    def do_delete_key(self) -> None:
        channel = self.chance.choice(addon("protocol").CHANNEL_NAMES)
        points = self.stage.curve(self.shot, channel).keyframe_points
        if len(points) > 5:
            points.remove(self.chance.choice(list(points)))
        self.step()

    def do_handle(self) -> None:
        self.go()
        handle = self.chance.choice(addon("handles").HANDLES).name
        by = (self.chance.uniform(-3, 3), self.chance.uniform(-3, 3))
        self.press("drag_handle", handle=handle, by=by)
        self.step()

    def do_shape(self) -> None:
        self.go()
        shape, frames = self.chance.choice("ABCDEFGHX"), self.chance.randrange(1, 9)
        self.press("apply_shape", group="Rhubarb", shape=shape, frames=frames)
        self.step()

    def do_overrule(self) -> None:
        self.press("overrule", frame=self.chance.choice((2, 30)))
        self.step()

    def do_render(self) -> None:
        self.keep(lambda: self.job("render_edits"))
        addon("shots").measure(self.shot)

    def do_current_frame(self) -> None:
        self.go()
        self.keep(lambda: self.job("render_current_frame"))

    def do_again(self) -> None:
        self.shot.animportrait.seed = self.chance.randrange(99)
        self.shot.animportrait.style = self.chance.choice(("photo", "ink"))
        self.keep(lambda: self.job("animate"))

    def do_cancel(self) -> None:
        self.interrupted(lambda job: addon("jobs").JOBS.cancel(job))

    def do_kill_server(self) -> None:
        def kill(_job: Any) -> None:
            for pid in servers():
                os.kill(pid, 9)

        self.interrupted(kill)

    def do_edit_while_rendering(self) -> None:
        self.interrupted(lambda _: self.do_key())

    def do_undo(self) -> None:
        if self.at > 0:
            self.at -= 1
            self.stage.undo()
            self.same_as_history()

    def do_redo(self) -> None:
        if self.at < len(self.history) - 1:
            self.at += 1
            self.stage.redo()
            self.same_as_history()

    def do_move(self) -> None:
        by = self.chance.randrange(-10, 30)
        for strip in self.stage.strips:
            strip.frame_start += by
        self.step()

    def do_follow_sound(self) -> None:
        self.stage.sound.frame_start += self.chance.randrange(-10, 30)
        self.step()
        self.keep(lambda: self.job("follow_sound"))

    def do_split(self) -> None:
        span = addon("strips").handles(self.shot)
        if len(self.stage.shots) < _MOST_SHOTS and span.length > 12:
            at = self.chance.randrange(span.start + 5, span.end - 5)
            self.shot.split(frame=at, split_method="SOFT")
        self.step()

    def do_save(self) -> None:
        self.keep(lambda: self.stage.bpy.ops.wm.save_mainfile())

    def do_reload(self) -> None:
        name, bpy = self.shot.name, self.stage.bpy
        bpy.ops.wm.save_mainfile()

        def load() -> None:
            bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath, load_ui=False)
            self.stage.select(addon("strips").named(self.stage.scene, name))

        self.keep(load)
        self._begin_history()

    def frame(self) -> int:
        """A visible frame of the shot."""
        span = addon("strips").visible_elements(self.shot, len(self.shot.elements))
        return self.chance.randrange(span.start, span.end)

    def go(self) -> None:
        self.stage.scene.frame_set(addon("strips").origin(self.shot) + self.frame())

    def keep(self, act: Callable[[], Any]) -> None:
        """Does something that may not lose any key of the artist's."""
        before, self.replaced = self.artists(), ("", 0.0)
        first = self.origins()
        act()
        now, by = self.snapshot(), {name: at - first[name] for name, at in self.origins().items()}
        for shot, rows in before.items():  # Animate Again follows a sound that was moved
            for name, keys in rows.items():
                lost = {(x + by[shot], y) for x, y in keys if (name, x) != self.replaced}
                lost -= set(now[shot][1][name])
                assert not lost, f"{shot}: keys {sorted(lost)[:3]} of {name} are lost"

    def origins(self) -> dict[str, int]:
        """Where the shots begin."""
        return {shot.name: addon("strips").origin(shot) for shot in self.stage.shots}

    def press(self, button: str, **words: Any) -> bool:
        """True when the button has done its work; a refusal must be one that is known."""
        try:
            return getattr(self.stage.bpy.ops.animportrait, button)(**words) == {"FINISHED"}
        except RuntimeError as refusal:
            assert any(word in str(refusal) for word in REFUSALS), str(refusal)
            return False

    def job(self, button: str) -> None:
        if self.press(button):
            self._remember()  # the queue has made the undo step
            if button != "render_current_frame":
                assert addon("shots").measure(self.shot).dirty == 0, "frames are still dirty"

    def interrupted(self, disturb: Callable[[Any], None]) -> None:
        """A job in the middle of which something happens."""
        self.stage.key(self.shot, "lip_open", self.frame(), self.chance.random())
        self.step()
        self.keep(lambda: self._disturbed(disturb))

    def _disturbed(self, disturb: Callable[[Any], None]) -> None:
        jobs, orders = addon("jobs").JOBS, addon("orders")
        try:
            job = jobs.add(orders.render_edits(self.shot))
        except addon("strips").CannotUse as refusal:
            assert any(word in str(refusal) for word in REFUSALS), str(refusal)
            return
        for _ in range(self.chance.randrange(1, 60)):
            jobs.tick()
        disturb(job)
        jobs.wait(job)
        if job.state.value == "done":
            self._remember()
        else:
            assert job.state.value in ("failed", "cancelled")
            assert any(word in f"{job.message} {job.hint}" for word in REFUSALS), job.message

    def same_as_history(self) -> None:
        assert self.snapshot() == self.history[self.at], "undo has brought back something else"

    def _begin_history(self) -> None:
        self.stage.push("start")
        self.history, self.at = [self.snapshot()], 0

    def _remember(self) -> None:
        del self.history[self.at + 1 :]
        self.history.append(self.snapshot())
        self.at += 1


def servers() -> list[int]:
    """Process numbers of our servers that live."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            words = (entry / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if int(fields[1]) == os.getpid() and fields[0] != "Z" and b"fake_server" in words:
            found.append(int(entry.name))
    return found


def main(count: int, seed: int) -> None:
    """The soak by hand."""
    user = Path(tempfile.mkdtemp(prefix="portrait-soak-"))
    os.environ["BLENDER_USER_RESOURCES"] = str(user)
    os.environ["ANIMATE_PORTRAIT_HOME"] = str(user)
    command = [sys.executable, str(Path(fake_server.__file__))]
    (user / "install.json").write_text(json.dumps({"version": "0", "command": command}))
    link = user / "extensions" / "user_default" / "animate_portrait"
    link.parent.mkdir(parents=True)
    link.symlink_to(conftest.REPOSITORY / "blender_addon", target_is_directory=True)
    bpy = importlib.import_module("bpy")  # makes addon_utils importable
    import addon_utils

    assert addon_utils.enable(conftest.EXTENSION, default_set=True) is not None
    soak = Soak(conftest.open_stage(bpy, user), seed)
    soak.run(count)
    keys = sum(len(keys) for rows in soak.artists().values() for keys in rows.values())
    print(f"{count} operations {soak.done}: {soak.checked_frames} frames looked at, {keys} keys of")
    print("the artist's at the end; 0 lost keys, 0 wrong frames, 0 orphans")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
