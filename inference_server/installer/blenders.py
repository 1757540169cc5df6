"""Finds the Blenders of this machine and links the extension into them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

OLDEST = (4, 2)  # the first with extensions
EXTENSION_ID = "animate_portrait"
_COPY_MARK = ".copied-by-install"  # where neither link nor junction can be made
_VERSION_LINE = re.compile(r"^Blender (\d+)\.(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Blender:
    """A Blender program.

    Attributes:
        program: the executable.
        version: (4, 5)
    """

    program: Path
    version: tuple[int, int]

    @property
    def name(self) -> str:
        """ "Blender 4.5" """
        return "Blender {}.{}".format(*self.version)


def installed() -> list[Blender]:
    """Every Blender program from 4.2 on that answers, newest first."""
    found = []
    seen = set()
    for program in _programs():
        identity = os.path.realpath(program)
        if identity not in seen:
            seen.add(identity)
            version = _version_of(program)
            if version is not None and version >= OLDEST:
                found.append(Blender(program, version))
    return sorted(found, key=lambda blender: blender.version, reverse=True)


def programs() -> list[Path]:
    """Where Blender programs of any version lie, none of them started."""
    return [Path(os.path.realpath(program)) for program in _programs()]


def _programs() -> Iterator[Path]:
    name = "blender.exe" if sys.platform == "win32" else "blender"
    on_path = [Path(folder) / name for folder in os.get_exec_path() if folder]
    for program in (*on_path, *_usual_programs(Path.home())):
        if program.is_file() and os.access(program, os.X_OK):
            yield program


def _usual_programs(user: Path) -> Iterator[Path]:
    """Where Blender's archives and installers are usually put."""
    if sys.platform == "win32":
        for variable in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"):
            base = Path(os.environ.get(variable) or r"C:\Program Files")
            yield from base.glob("Blender Foundation/Blender*/blender.exe")
            yield from base.glob("Steam/steamapps/common/Blender/blender.exe")
        for folder in ("Downloads", "Desktop", "Documents"):
            yield from (user / folder).glob("blender-*/blender.exe")
    elif sys.platform == "darwin":
        for base in (Path("/Applications"), user / "Applications", user / "Downloads"):
            yield from base.glob("Blender*.app/Contents/MacOS/Blender")
            yield from base.glob("Blender*/Blender.app/Contents/MacOS/Blender")
    else:
        for base in (Path("/opt"), Path("/usr/local"), user, user / "Applications"):
            yield from base.glob("[bB]lender*/blender")
        for folder in ("Downloads", "Desktop", "apps", "bin", "software", ".local/share"):
            yield from (user / folder).glob("[bB]lender*/blender")
        yield Path("/snap/bin/blender")
        yield user / ".local/share/Steam/steamapps/common/Blender/blender"
        yield user / ".steam/steam/steamapps/common/Blender/blender"


def _version_of(program: Path) -> tuple[int, int] | None:
    """Asks a Blender for its version; None when it does not start."""
    try:
        answer = subprocess.run(
            [str(program), "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION_LINE.search(answer.stdout.decode(errors="replace"))
    return (int(found.group(1)), int(found.group(2))) if found else None


def config_folders(user: Path, environ: dict[str, str], platform: str) -> list[Path]:
    """Folders that hold one settings folder per Blender version.

    Args:
        user: the home folder.
        environ: os.environ
        platform: sys.platform
    """
    if platform == "win32":
        roaming = Path(environ.get("APPDATA") or user / "AppData" / "Roaming")
        local = Path(environ.get("LOCALAPPDATA") or user / "AppData" / "Local")
        store = local.glob("Packages/BlenderFoundation.Blender*/LocalCache/Roaming")
        return [base / "Blender Foundation" / "Blender" for base in (roaming, *sorted(store))]
    if platform == "darwin":
        return [user / "Library" / "Application Support" / "Blender"]
    own = Path(environ.get("XDG_CONFIG_HOME") or user / ".config") / "blender"
    # Blender's snap is a classic one and shares `own`; the flatpak has a place of its own.
    return [own, user / ".var" / "app" / "org.blender.Blender" / "config" / "blender"]


def extension_folders(
    blenders: Sequence[Blender], user: Path, environ: dict[str, str], platform: str
) -> list[Path]:
    """Every `.../extensions/user_default` of a Blender from 4.2 on; need not exist yet."""
    if environ.get("BLENDER_USER_EXTENSIONS"):
        return [Path(environ["BLENDER_USER_EXTENSIONS"]) / "user_default"]
    if environ.get("BLENDER_USER_RESOURCES"):
        return [Path(environ["BLENDER_USER_RESOURCES"]) / "extensions" / "user_default"]
    configs = config_folders(user, environ, platform)
    versions = [path for config in configs for path in _version_folders(config)]
    for blender in blenders:
        portable = Path(os.path.realpath(blender.program)).parent / "portable"
        own = configs[0] / "{}.{}".format(*blender.version)
        folder = portable if portable.is_dir() else own
        if folder not in versions:
            versions.append(folder)
    return [folder / "extensions" / "user_default" for folder in versions]


def _version_folders(config: Path) -> Iterator[Path]:
    for folder in sorted(config.glob("*.*")):
        parts = folder.name.split(".")
        numbered = len(parts) == 2 and all(part.isdigit() for part in parts)
        if numbered and (int(parts[0]), int(parts[1])) >= OLDEST and folder.is_dir():
            yield folder


def link(addon: Path, folder: Path) -> Path | None:
    """Makes the extension appear in `folder`.

    Args:
        addon: the add-on's sources.
        folder: an `extensions/user_default`.

    Returns:
        The link; None when an extension of that name is installed there already.

    Raises:
        OSError: the folder cannot be written.
    """
    place = folder / EXTENSION_ID
    if is_ours(place):
        if os.path.realpath(place) == os.path.realpath(addon):
            return place
        unlink(place)
    elif os.path.lexists(place):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    try:
        os.symlink(addon, place, target_is_directory=True)
    except OSError:
        if sys.platform != "win32":
            raise
        _link_on_windows(addon, place)  # symbolic links need a privilege there
    return place


def _link_on_windows(addon: Path, place: Path) -> None:
    if sys.platform == "win32":
        import _winapi

        try:
            _winapi.CreateJunction(str(addon), str(place))
            return
        except OSError:  # a network drive, or not NTFS
            pass
    shutil.copytree(addon, place, ignore=shutil.ignore_patterns("__pycache__"))
    (place / _COPY_MARK).touch()


def is_ours(place: Path) -> bool:
    """Whether `place` was made by `link`: a link, a junction, or a marked copy."""
    return _is_link(place) or (place / _COPY_MARK).is_file()


def _is_link(place: Path) -> bool:
    if place.is_symlink():
        return True
    reparse_point = 0x400  # a junction on Windows
    try:
        return bool(getattr(os.lstat(place), "st_file_attributes", 0) & reparse_point)
    except OSError:
        return False


def unlink(place: Path) -> None:
    """Removes what `link` made, never what it points to."""
    if place.is_symlink():
        place.unlink()
    elif _is_link(place):
        os.rmdir(place)  # a junction
    elif is_ours(place):
        shutil.rmtree(place)


def our_links(addon: Path, folders: Iterable[Path], recorded: Iterable[str]) -> list[Path]:
    """The links to this add-on: those on record, and those found in `folders`."""
    places = [*(Path(path) for path in recorded), *(folder / EXTENSION_ID for folder in folders)]
    ours = []
    for place in places:
        points_here = os.path.realpath(place) == os.path.realpath(addon)
        recorded_copy = (place / _COPY_MARK).is_file() and str(place) in set(recorded)
        if place not in ours and is_ours(place) and (points_here or recorded_copy):
            ours.append(place)
    return ours
