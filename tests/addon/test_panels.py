"""What the panels say; drawn onto a layout that only remembers. Runs inside bpy."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from .conftest import Stage, addon
from .test_jobs import behave, start, tick_until

pytestmark = pytest.mark.blender


class Layout:
    """Remembers texts, properties and buttons of a panel, sub-layouts included."""

    def __init__(self, seen: dict[str, list[Any]] | None = None) -> None:
        self.seen = seen if seen is not None else {"text": [], "props": [], "ops": []}

    def row(self, **_: Any) -> Layout:
        return Layout(self.seen)

    column = box = grid_flow = row

    def label(self, text: str = "", icon: str = "NONE") -> None:
        assert icon in _icons()
        self.seen["text"].append(text)

    def progress(self, factor: float, text: str, type: str) -> None:
        assert 0.0 <= factor <= 1.0
        self.seen["text"].append(text)

    def prop(self, owner: Any, name: str, **_: Any) -> None:
        assert name in owner.bl_rna.properties, name
        self.seen["props"].append(name)

    def template_list(self, cls: str, _id: str, owner: Any, name: str, at: Any, index: str) -> None:
        assert name in owner.bl_rna.properties and index in at.bl_rna.properties
        self.seen["props"].append(name)

    def operator(self, name: str, text: str = "", icon: str = "NONE") -> SimpleNamespace:
        assert icon in _icons()
        self.seen["ops"].append((name, text))
        return SimpleNamespace()


def _icons() -> Any:
    import bpy

    return bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items.keys()


def draw(stage: Stage, panel: str) -> dict[str, list[Any]]:
    cls = getattr(stage.bpy.types, panel)
    assert not hasattr(cls, "poll") or cls.poll(stage.bpy.context)
    layout = Layout()
    cls.draw(SimpleNamespace(layout=layout), stage.bpy.context)
    return layout.seen


def test_before_anything_was_done(stage: Stage) -> None:
    stage.select(stage.sound)
    seen = draw(stage, "ANIMPORTRAIT_PT_shot")
    assert "voice (72 frames)" in seen["text"]
    assert ("animportrait.animate", "Animate Portrait") in seen["ops"]
    assert {"image", "renderer", "style", "size", "seed", "holds"} <= set(seen["props"])
    assert not stage.bpy.types.ANIMPORTRAIT_PT_edit.poll(stage.bpy.context)
    params = addon("protocol").PARAMS
    settings = stage.scene.animportrait
    for style in ("photo", "ink", "oil"):
        settings.style = style
        shown = set(draw(stage, "ANIMPORTRAIT_PT_settings")["props"])
        used = {param.name for param in params if not param.styles or style in param.styles}
        assert used | {"landmarks"} <= shown
        assert not shown & ({param.name for param in params} - used)


def test_a_colour_is_picked_and_sent_as_text(stage: Stage) -> None:
    settings = stage.scene.animportrait
    assert orders_of(stage)["params"]["ink_colour"] == "#0e0e11"
    settings.ink_colour = (1.0, 0.5, 0.0)
    assert orders_of(stage)["params"]["ink_colour"] == "#ff8000"


def orders_of(stage: Stage) -> dict[str, Any]:
    return addon("orders").look_of(stage.scene.animportrait)


def test_a_shot_with_changes(stage: Stage) -> None:
    shot = stage.animate()
    stage.key(shot, "lip_open", 20, 1.0)
    addon("shots").measure(shot)
    seen = draw(stage, "ANIMPORTRAIT_PT_edit")
    channels = [f"animportrait_{c.name}" for c in addon("protocol").CHANNELS]
    assert [name for name in seen["props"] if name in channels] == channels
    assert "1 of 72 frames to draw" in seen["text"]
    assert ("animportrait.animate", "Animate Again") in draw(stage, "ANIMPORTRAIT_PT_shot")["ops"]
    report = draw(stage, "ANIMPORTRAIT_PT_report")["text"]
    assert "Lips move in 1% of the silence" in report
    assert "3 of 4 lip closures shut" in report


def test_the_count_follows_changes_by_itself(stage: Stage) -> None:
    shot = stage.animate()
    shots = addon("shots")
    name = stage.scene.name

    def look() -> Any:
        for _ in range(500):
            if shots.look(stage.bpy.data.scenes[name]):
                break
        return shots.status(stage.shot)

    shots._takes.clear()
    shots.forget()
    assert shots.status(shot) is None
    assert "Looking for changes" in draw(stage, "ANIMPORTRAIT_PT_edit")["text"][0]
    import time

    deadline = time.monotonic() + 10
    while look() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert look().dirty == 0
    stage.key(shot, "lip_open", 20, 1.0)
    stage.bpy.context.view_layer.update()  # a window does this at every redraw
    assert shots.is_stale()
    assert look().dirty == 1
    stage.push("a key")
    assert not shots.is_looking()


def test_progress_and_queue(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    behave(monkeypatch, frame_s=0.01)
    first, second = start(stage), start(stage, style="ink")
    tick_until(lambda: first.stage == "render" and first.done >= 20)
    seen = draw(stage, "ANIMPORTRAIT_PT_queue")
    assert any(text.startswith("Drawing  ") and text.endswith("1 s left") for text in seen["text"])
    assert any(text.startswith("Waiting: ") for text in seen["text"])
    assert len([op for op in seen["ops"] if op[0] == "animportrait.cancel"]) == 2
    addon("jobs").JOBS.cancel(first)
    assert "Cancelling" in draw(stage, "ANIMPORTRAIT_PT_queue")["text"]
    tick_until(lambda: second.ended)
    assert any("72 frames" in text for text in draw(stage, "ANIMPORTRAIT_PT_queue")["text"])


def test_a_failure_is_shown_with_its_hint(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    behave(monkeypatch, refuse="No face found.")
    job = start(stage)
    tick_until(lambda: job.ended)
    seen = draw(stage, "ANIMPORTRAIT_PT_queue")["text"]
    assert any("No face found." in text for text in seen)
    assert "Try another picture." in seen


def test_a_long_message_is_wrapped_to_the_panel(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = 'No face was found in the picture "a rather long name of a picture.png" (1024x768).'
    behave(monkeypatch, refuse=told)
    job = start(stage)
    tick_until(lambda: job.ended)
    paragraph, context = addon("paragraph"), stage.bpy.context
    monkeypatch.setattr(paragraph.blf, "dimensions", lambda _, text: (5.5 * len(text), 11.0))
    narrow = SimpleNamespace(
        region=SimpleNamespace(width=240), preferences=context.preferences, scene=context.scene
    )
    layout = Layout()
    addon("queue_list").draw_jobs(layout, narrow)
    seen = layout.seen["text"]
    assert len(seen) == 4
    assert max(map(len, seen)) < 45
    assert " ".join(seen) == f"{job.title} {told} Try another picture."


def test_lines_break_between_words_then_behind_slashes_then_anywhere() -> None:
    def wrapped(text: str) -> list[str]:
        return addon("paragraph").lines(text, lambda line: len(line) <= 10)

    assert wrapped("") == []
    assert wrapped("one two three\nfour") == ["one two", "three", "four"]
    assert wrapped("Log: /home/me/logs/server.log") == ["Log:", "/home/me/", "logs/", "server.log"]
    assert wrapped("abcdefghijklmnopqrstuvw") == ["abcdefghij", "klmnopqrst", "uvw"]


def test_the_button_is_above_the_sliders(stage: Stage) -> None:
    stage.animate()
    order: list[str] = []
    layout = Layout()
    seen = layout.seen
    seen["props"] = seen["ops"] = order  # one list: what comes first
    cls = stage.bpy.types.ANIMPORTRAIT_PT_edit
    cls.draw(SimpleNamespace(layout=layout), stage.bpy.context)
    assert order[0][0] == "animportrait.render_edits"
    assert order.index("animportrait_lip_open") > 0


def test_a_breach_is_a_button_that_goes_to_its_frame(stage: Stage) -> None:
    addon("shots").measure(stage.animate())
    assert ("animportrait.go_to_frame", "Frame 13: Open closure") in draw(
        stage, "ANIMPORTRAIT_PT_report"
    )["ops"]
    assert stage.bpy.ops.animportrait.go_to_frame(frame=13) == {"FINISHED"}
    assert stage.scene.frame_current == 13


def test_a_second_press_on_the_same_shot_is_refused_with_the_reason(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    behave(monkeypatch, frame_s=0.01)
    press = stage.bpy.ops.animportrait.animate
    first = start(stage)
    assert first.state.value == "queued" and not press.poll()
    tick_until(lambda: first.stage == "render")
    with pytest.raises(RuntimeError, match='This portrait with "voice" is in the queue'):
        press()
    other = stage.folder / "other.png"
    other.write_bytes(stage.picture.read_bytes())
    stage.scene.animportrait.image = str(other)
    assert press.poll()
    stage.scene.animportrait.image = str(stage.picture)
    assert not press.poll()
    tick_until(lambda: first.ended)
    stage.select(stage.sound)
    assert press.poll()


def test_without_a_server_the_panel_offers_set_up(stage: Stage, home: Any) -> None:
    (home / "install.json").unlink()
    addon("setup").forget_record()
    seen = draw(stage, "ANIMPORTRAIT_PT_shot")
    assert ("animportrait.set_up", "Set Up") in seen["ops"]
    assert "use_online_access" in seen["props"]
    with pytest.raises(RuntimeError, match="Allow Online Access"):
        stage.bpy.ops.animportrait.set_up()


def test_the_preferences(stage: Stage, home: Any) -> None:
    prefs = addon("prefs")
    layout = Layout()
    chosen = prefs.preferences(stage.bpy.context)
    owner = SimpleNamespace(layout=layout, server_path="", bl_rna=chosen.bl_rna)
    stage.bpy.ops.animportrait.test_server()
    prefs.ANIMPORTRAIT_AP_preferences.draw(owner, stage.bpy.context)
    seen = layout.seen
    assert f"Found server 0.0.fake in {home}" in seen["text"]
    assert "Server 0.0.fake answers (Python 3.11, up for 2 s)" in seen["text"]
    assert {"server_path", "device", "idle_minutes"} <= set(seen["props"])
    assert ("animportrait.set_up", "Set Up Again") in seen["ops"]


def test_device_and_idle_time_reach_the_server(stage: Stage, home: Any) -> None:
    record = {"version": "1", "command": ["/v/python", "-m", "inference_server", "serve"]}
    (home / "install.json").write_text(json.dumps(record))
    addon("setup").forget_record()
    prefs = addon("prefs")
    chosen = prefs.preferences(stage.bpy.context)
    chosen.device, chosen.idle_minutes = "cpu", 3
    try:
        launch = prefs._launch()
        assert launch.env["ANIMATE_PORTRAIT_DEVICE"] == "cpu"
        assert launch.env["ANIMATE_PORTRAIT_HOME"] == str(home)
        assert launch.command[-3:] == ("serve", "--idle-timeout", "180")
        chosen.server_path = "/other/bin/python"
        assert prefs._launch().command[:4] == (
            "/other/bin/python",
            "-m",
            "inference_server",
            "serve",
        )
    finally:
        chosen.property_unset("device")
        chosen.property_unset("idle_minutes")
        chosen.server_path = ""


def test_picking_and_dropping_a_picture(stage: Stage) -> None:
    bpy = stage.bpy
    assert bpy.ops.animportrait.pick_image(filepath=str(stage.picture)) == {"FINISHED"}
    assert stage.scene.animportrait.image == "//face é.png"
    with pytest.raises(RuntimeError, match="no file"):
        bpy.ops.animportrait.pick_image(filepath="/nowhere.png")
    handler = bpy.types.ANIMPORTRAIT_FH_portrait
    region = SimpleNamespace(type="UI")
    area = SimpleNamespace(type="SEQUENCE_EDITOR")
    assert handler.poll_drop(SimpleNamespace(area=area, region=region))
    region.type = "WINDOW"  # a picture dropped onto the timeline is Blender's business
    assert not handler.poll_drop(SimpleNamespace(area=area, region=region))
    assert handler.bl_file_extensions.startswith(".png;.jpg")
