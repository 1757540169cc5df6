"""Makes a folder with a whole Debian that holds Blender 4.3, for tests in a real window.

The folder is an ordinary debootstrap'ed root: nothing is mounted into it, so that plain root rights
(a container without CAP_SYS_ADMIN) are enough. Run `python tests/gui/blender_root.py` to make it
beforehand; the window tests make it themselves when it is missing. Standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SUITE = "trixie"  # Debian 13: the oldest release whose Blender (4.3.2) knows extensions
HOST_COMMANDS = {  # command -> the Debian package it is in
    "debootstrap": "debootstrap",
    "Xvfb": "xvfb",
    "xdotool": "xdotool",
    "import": "imagemagick",
    "xdpyinfo": "x11-utils",
}
ROOT_PACKAGES = (
    "blender",
    *("libgl1", "libgl1-mesa-dri", "libegl1", "libegl-mesa0", "libglx-mesa0"),  # llvmpipe
    "libxkbcommon0",
    "fonts-dejavu-core",
    *("python3-numpy", "python3-requests"),  # Blender only recommends what its add-ons import
)
ROOT_VARIABLE = "ANIMATE_PORTRAIT_TEST_ROOT"
BUILT_MARK = "etc/animate-portrait-root"  # written last: a root without it is unfinished
STEP_TIMEOUT_S = 900
KEPT_APT_OPTIONS = ("Acquire::http::Proxy", "Acquire::https::Proxy", "Acquire::Check-")


class CannotSetUp(Exception):
    """This machine cannot run Blender in a window; the text says why and what would help."""


def default_folder() -> Path:
    """Where the root lives: the environment's choice, else beside the installed product."""
    if chosen := os.environ.get(ROOT_VARIABLE):
        return Path(chosen).resolve()
    home = os.environ.get("ANIMATE_PORTRAIT_HOME")
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home or Path(data) / "animate-portrait").resolve() / "blender-4.3-root"


def prepare(folder: Path, say: Callable[[str], None] = print) -> Path:
    """The root in `folder`, made first when it is missing (3 minutes, 1.2 GB).

    Args:
        folder: where the root is or will be.
        say: called with one line per step.

    Raises:
        CannotSetUp: Not Linux, not Debian's apt, not root, or a step of the set-up failed.
    """
    _check_machine()
    _install_host_packages(say)
    if (folder / BUILT_MARK).is_file():
        return folder
    unfinished = folder.with_name(folder.name + ".unfinished")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    mirror = _reachable_mirror()
    say(f"debootstrap {SUITE} from {mirror} into {folder}")
    _run("debootstrap", "--variant=minbase", "--include=ca-certificates", SUITE, unfinished, mirror)
    say(f"installing Blender into it ({time.monotonic() - started:.0f} s so far)")
    _install_blender(unfinished)
    version = _run("chroot", unfinished, "blender", "--version").splitlines()[0]
    (unfinished / BUILT_MARK).write_text(version + "\n")
    unfinished.rename(folder)
    say(f"{version} is ready after {time.monotonic() - started:.0f} s")
    return folder


def _check_machine() -> None:
    if sys.platform != "linux" or not Path("/etc/debian_version").is_file():
        raise CannotSetUp("The window tests need Debian or Ubuntu Linux (debootstrap, apt, Xvfb).")
    if os.geteuid() != 0:
        raise CannotSetUp("The window tests need root, for debootstrap and chroot.")


def _install_host_packages(say: Callable[[str], None]) -> None:
    missing = sorted({p for command, p in HOST_COMMANDS.items() if not shutil.which(command)})
    if not missing:
        return
    say("apt-get install " + " ".join(missing))
    _run("apt-get", "update", "-q")
    _run("apt-get", "install", "-q", "-y", "--no-install-recommends", *missing)


def _reachable_mirror() -> str:
    """The first Debian archive among this machine's apt sources that carries the suite."""
    sites = _run("apt-get", "indextargets", "--format", "$(SITE)").split()
    mirrors = [s for s in dict.fromkeys(sites) if s.startswith(("http://", "https://"))]
    with tempfile.TemporaryDirectory() as scratch:
        for mirror in mirrors:  # asked with apt's own program, hence through apt's own proxies
            release = f"{mirror}/dists/{SUITE}/Release"
            ask = ("/usr/lib/apt/apt-helper", "download-file", release, f"{scratch}/Release")
            if _run(*ask, check=False):
                return mirror
    raise CannotSetUp(
        f"None of the apt sources ({', '.join(mirrors) or 'none found'}) serves Debian {SUITE}; "
        "is there a network?"
    )


def _install_blender(root: Path) -> None:
    options = [
        line
        for line in _run("apt-config", "dump").splitlines()
        if line.startswith(KEPT_APT_OPTIONS) and not line.endswith('"";')
    ]
    options += ['APT::Install-Recommends "false";', 'Acquire::Languages "none";']
    (root / "etc/apt/apt.conf.d/90tests").write_text("\n".join(options) + "\n")
    (root / "etc/dpkg/dpkg.cfg.d/90tests").write_text(
        "force-unsafe-io\n"  # a lost root is built again
        "path-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\n"
        "path-exclude=/usr/share/locale/*\n"
    )
    services = root / "usr/sbin/policy-rc.d"  # no package may start a service
    services.write_text("#!/bin/sh\nexit 101\n")
    services.chmod(0o755)
    if Path("/etc/resolv.conf").exists():
        shutil.copyfile("/etc/resolv.conf", root / "etc/resolv.conf")
    apt = ("chroot", root, "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", "apt-get", "-q")
    _run(*apt, "update")
    _run(*apt, "install", "-y", *ROOT_PACKAGES)
    _run(*apt, "clean")


def _run(*words: str | Path, check: bool = True) -> str:
    """Standard output of a command; without `check`, empty when it fails."""
    try:
        done = subprocess.run(
            [str(word) for word in words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=STEP_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotSetUp(f"{words[0]}: {error}") from error
    if done.returncode == 0:
        return done.stdout
    if not check:
        return ""
    last = "\n".join(done.stdout.splitlines()[-8:])
    command = " ".join(map(str, words[:6]))
    raise CannotSetUp(f"`{command}` ended with exit code {done.returncode}:\n{last}")


if __name__ == "__main__":
    try:
        print(prepare(default_folder()))
    except CannotSetUp as reason:
        sys.exit(str(reason))
