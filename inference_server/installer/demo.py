"""`install.py demo`: the whole main job inside Blender, from a clone with nothing installed."""

from __future__ import annotations

import re
import time
from pathlib import Path

from . import blenders
from .bpy_wheels import WITH_SOUND, BpyWheels
from .children import Children, clean_environment
from .console import Console, InstallError
from .steps import Installer, Wishes
from .workplace import ADDON, ROOT, Workplace, remove_tree

PORTRAIT = ROOT / "tests" / "fixtures" / "astronaut.png"
SPEECH = ROOT / "tests" / "fixtures" / "speech.wav"
SCRIPT = ADDON / "demo.py"
_BLENDERS_CHATTER = re.compile(r"^Fra:|[Aa]ppend frame|^Blender quit|^ *Time: |^Saved: ")


class Demo:
    """Sets everything up and runs the add-on's demo script in a Blender without a window."""

    def __init__(self, place: Workplace, console: Console, children: Children) -> None:
        self._place = place
        self._console = console
        self._children = children

    def run(self, out: Path) -> None:
        """Writes demo.blend, demo.mp4, contact_sheet.png and the take into `out`.

        The user's own Blender settings are neither read nor changed.
        """
        for path in (PORTRAIT, SPEECH, SCRIPT):
            if not path.is_file():
                raise InstallError(f'"{path}" is missing.', "Run the demo from a full clone.")
        started = time.monotonic()
        out = out.absolute()
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InstallError(f'Cannot write in "{out}": {error.strerror}.') from error
        Installer(self._place, self._console, self._children).install(Wishes())
        command = self._blender()
        set_up_s = time.monotonic() - started
        settings = self._place.scratch_of("blender")
        remove_tree(settings)
        try:
            blenders.link(ADDON, settings / "extensions" / "user_default")
            status = self._children.run(
                [*command, "--portrait", str(PORTRAIT), "--speech", str(SPEECH), "--out", str(out)],
                self._tell,
                out,
                clean_environment(
                    ANIMATE_PORTRAIT_HOME=str(self._place.home),
                    BLENDER_USER_RESOURCES=str(settings),
                    PYTHONDONTWRITEBYTECODE="1",
                ),
            )
        finally:
            remove_tree(settings)
        if status != 0:
            raise InstallError(
                f"The demo stopped in Blender with status {status}; its reason is above."
            )
        self._console.say(
            f"Set-up {set_up_s:.0f} s, everything {time.monotonic() - started:.0f} s."
        )

    def _tell(self, line: str) -> None:
        """Passes on what the script says, without Blender's line for every frame of the movie."""
        chatter = not line.strip() or _BLENDERS_CHATTER.search(line)
        (self._console.note if chatter else self._console.say)(line)

    def _blender(self) -> list[str]:
        """The command up to the script's own arguments: a found Blender, else the bpy wheel."""
        for blender in blenders.installed():
            self._console.say(f"Using {blender.name}: {blender.program}")
            options = ("--background", "--factory-startup", "--python-exit-code", "1")
            return [str(blender.program), *options, "--python", str(SCRIPT), "--"]
        python = BpyWheels(self._place, self._console, self._children).make(WITH_SOUND)
        self._console.say(f"No Blender was found; using the bpy module {WITH_SOUND}.")
        return [str(python), str(SCRIPT)]
