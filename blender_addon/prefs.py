"""Preferences: where the server is, how it runs, Set Up and Test."""

import time
from typing import Any

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty

from . import jobs, modal, paragraph, setup
from .job import Job, State
from .strips import CannotUse

_TICK_S = 0.2

_set_up: setup.SetUp | None = None
_test: Job | None = None


class ANIMPORTRAIT_AP_preferences(bpy.types.AddonPreferences):
    """Shown under Preferences > Add-ons > Animate Portrait."""

    bl_idname = __package__

    server_path: StringProperty(
        name="Server",
        subtype="FILE_PATH",
        description="Leave empty to use the server that Set Up has installed. Otherwise the Python "
        "interpreter of its environment, or its animate-portrait program",
    )
    device: EnumProperty(
        name="Device",
        items=[
            ("auto", "Automatic", "The graphics card if there is one that fits"),
            ("cpu", "CPU", "The processor"),
            ("cuda", "CUDA", "A graphics card from NVIDIA"),
            ("mps", "Metal", "The graphics of an Apple computer"),
        ],
        default="auto",
        description="Where networks run; Mesh Warp needs none",
    )
    idle_minutes: IntProperty(
        name="Idle Minutes",
        default=15,
        min=1,
        max=24 * 60,
        description="The server ends and frees its memory after so long without a job",
    )

    def draw(self, context: Any) -> None:
        """Server, settings, buttons and what they said."""
        layout = self.layout
        layout.use_property_split = True
        record = setup.install_record()
        column = layout.column()
        if self.server_path:
            column.label(text="Using the server that you chose", icon="SETTINGS")
        elif record is None:
            column.label(text="The server is not set up yet", icon="ERROR")
        else:
            found = f"Found server {record.get('version', '')} in {setup.home()}"
            column.label(text=found, icon="CHECKMARK")
        column.prop(self, "server_path")
        column.prop(self, "device")
        column.prop(self, "idle_minutes")
        draw_set_up(layout, context)
        row = layout.row()
        row.operator(ANIMPORTRAIT_OT_test_server.bl_idname, icon="PLUGIN")
        if _test is not None:
            text = _test.message or "Waiting for the server ..."
            paragraph.draw(layout, context, text, "INFO")
            paragraph.draw(layout, context, _test.hint)


def draw_set_up(layout: Any, context: Any) -> None:
    """The set-up box; the panel shows it too while there is no server."""
    box = layout.box()
    if is_setting_up() and _set_up is not None:
        stage = _set_up.stage
        row = box.row(align=True)
        row.progress(factor=stage.done / max(stage.total, 1), text=stage.message, type="BAR")
        row.operator(ANIMPORTRAIT_OT_cancel_set_up.bl_idname, text="", icon="X")
        return
    paragraph.draw(box, context, f"Set Up: {setup.DOWNLOAD}", "INFO")
    system = context.preferences.system
    if not bpy.app.online_access and hasattr(system, "use_online_access"):
        box.prop(system, "use_online_access")
    installed = setup.install_record() is not None
    text = "Set Up Again" if installed else "Set Up"
    box.operator(ANIMPORTRAIT_OT_set_up.bl_idname, text=text, icon="IMPORT")
    if _set_up is not None and _set_up.outcome is not None:
        outcome = _set_up.outcome
        paragraph.draw(box, context, outcome.message, "CHECKMARK" if outcome.ok else "ERROR")
        paragraph.draw(box, context, outcome.hint)
        paragraph.draw(box, context, f"Log: {_set_up.log_path}")


class ANIMPORTRAIT_OT_set_up(bpy.types.Operator):
    """Install the server into a folder of its own; Blender itself is not changed."""

    bl_idname = "animportrait.set_up"
    bl_label = "Set Up"

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """Online access, the script, and one at a time."""
        if is_setting_up():
            cls.poll_message_set("Set Up is running")
        elif not bpy.app.online_access:
            cls.poll_message_set("Allow Online Access in Preferences > System first")
        elif setup.install_script() is None:
            cls.poll_message_set("install.py is not part of this copy of the add-on")
        else:
            return True
        return False

    def invoke(self, _context: Any, _event: Any) -> set[str]:
        """In the background, with progress in the panel."""
        _begin_set_up()
        bpy.app.timers.register(_set_up_tick, first_interval=_TICK_S, persistent=True)
        return {"FINISHED"}

    def execute(self, _context: Any) -> set[str]:
        """For scripts: waits."""
        running = _begin_set_up()
        while running.outcome is None:
            time.sleep(_TICK_S)
        setup.forget_record()
        if not running.outcome.ok:
            self.report({"ERROR"}, f"{running.outcome.message} {running.outcome.hint}".strip())
            return {"CANCELLED"}
        return {"FINISHED"}


class ANIMPORTRAIT_OT_cancel_set_up(bpy.types.Operator):
    """Stop the installation; what it has made is removed."""

    bl_idname = "animportrait.cancel_set_up"
    bl_label = "Cancel Set Up"

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """Only while it runs."""
        if is_setting_up():
            return True
        cls.poll_message_set("Set Up is not running")
        return False

    def execute(self, _context: Any) -> set[str]:
        """Asks, and forces after 15 s."""
        if _set_up is not None:
            _set_up.cancel()
        return {"FINISHED"}


class ANIMPORTRAIT_OT_test_server(bpy.types.Operator):
    """Start the server and show what it answers."""

    bl_idname = "animportrait.test_server"
    bl_label = "Test Server"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A server must be there."""
        reason = flaw(context)
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def invoke(self, _context: Any, _event: Any) -> set[str]:
        """In the background."""
        self._begin()
        bpy.ops.animportrait.run_jobs("INVOKE_DEFAULT")
        return {"FINISHED"}

    def execute(self, _context: Any) -> set[str]:
        """For scripts: waits."""
        job = self._begin()
        jobs.JOBS.wait(job)
        modal.report(self, job)
        return {"FINISHED"} if job.state == State.DONE else {"CANCELLED"}

    def _begin(self) -> Job:
        global _test
        jobs.JOBS.restart_server()
        _test = jobs.JOBS.add(None)
        return _test


def preferences(context: Any) -> ANIMPORTRAIT_AP_preferences:
    """Ours."""
    return context.preferences.addons[__package__].preferences


def flaw(context: Any) -> str:
    """Why no server can be started; empty when one can."""
    if preferences(context).server_path or setup.install_record() is not None:
        return ""
    return "The server is not set up: press Set Up in the preferences of the add-on"


def is_setting_up() -> bool:
    """True while install.py runs."""
    return _set_up is not None and _set_up.outcome is None


def _begin_set_up() -> setup.SetUp:
    global _set_up
    script = setup.install_script()
    if script is None:
        raise AssertionError("poll has looked for it")
    _set_up = setup.SetUp(script, setup.home() / "logs" / "set-up.log")
    _set_up.start()
    return _set_up


def _set_up_tick() -> float | None:
    """Draws the progress; on the main thread, also across file loads."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in ("PREFERENCES", "SEQUENCE_EDITOR"):
                area.tag_redraw()
    if is_setting_up():
        return _TICK_S
    setup.forget_record()
    return None


def _launch() -> jobs.Launch:
    """How the server is to be started now."""
    reason = flaw(bpy.context)
    if reason:
        raise CannotUse(reason)
    chosen = preferences(bpy.context)
    record = setup.install_record()
    if chosen.server_path:
        command = setup.command_of(bpy.path.abspath(chosen.server_path))
    else:
        command = tuple(record["command"]) if record is not None else ()
    if command[-1] == "serve":
        command = (*command, "--idle-timeout", str(60 * chosen.idle_minutes))
    home = setup.home()
    env = {"ANIMATE_PORTRAIT_HOME": str(home), "ANIMATE_PORTRAIT_DEVICE": chosen.device}
    return jobs.Launch(command, env, home / "logs" / "server.log")


_CLASSES = (
    ANIMPORTRAIT_AP_preferences,
    ANIMPORTRAIT_OT_set_up,
    ANIMPORTRAIT_OT_cancel_set_up,
    ANIMPORTRAIT_OT_test_server,
)


def register() -> None:
    """Adds preferences and their operators."""
    for each in _CLASSES:
        bpy.utils.register_class(each)
    jobs.JOBS.launch = _launch
    jobs.JOBS.idle_s = lambda: 60.0 * preferences(bpy.context).idle_minutes


def unregister() -> None:
    """Ends a running installation too."""
    if _set_up is not None and _set_up.outcome is None:
        _set_up.kill()
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
