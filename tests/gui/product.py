"""Puts the product under test into the Debian root: the server's venv, its Python, the extension.

The server in the window tests is the installed one: the venv that runs pytest appears inside the
root under the same path, as hard links (2 s for 40,000 files) or, on another disk, as copies.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import inference_server

from .blender_root import CannotSetUp

REPOSITORY = Path(__file__).resolve().parents[2]
EXTENSION = "bl_ext.user_default.animate_portrait"
INSIDE = Path("/srv/product")
LINKED = "etc/animate-portrait-links.json"  # what was put into the root, in which state
PREPARE_BLENDER = f"""
import addon_utils, bpy
assert addon_utils.check("{EXTENSION}")[1], "the extension is not enabled"
view = bpy.context.preferences.view
view.show_splash = view.show_tooltips = view.use_save_prompt = False
bpy.ops.wm.save_userpref()
"""
ANSWER_HELLO = (
    b'{"jsonrpc":"2.0","id":1,"method":"hello","params":{"protocol":1,"client":"test"}}\n'
)


@dataclass(frozen=True)
class Product:
    """The product inside the root.

    Attributes:
        root: the root.
        environment: what Blender must be started with to find extension and server.
    """

    root: Path
    environment: dict[str, str]


def install(root: Path) -> Product:
    """Links the server into the root, builds and installs the extension there.

    Raises:
        CannotSetUp: This machine's Python does not run inside the root.
        RuntimeError: The extension does not build, or the server does not answer: a bug of ours.
    """
    outside = _outside(root, INSIDE)
    shutil.rmtree(outside, ignore_errors=True)
    outside.mkdir(parents=True)
    environment = {
        "ANIMATE_PORTRAIT_HOME": f"{INSIDE}/home",
        "BLENDER_USER_RESOURCES": f"{INSIDE}/user",
    }
    _describe_processors(root)
    _link_python(root)
    _write_install_record(outside / "home")
    _check_server(root, environment)
    _install_extension(root, outside, environment)
    return Product(root, environment)


def _describe_processors(root: Path) -> None:
    """What the kernel says of the processors, as plain files: torch refuses to work without it.

    /proc and /sys are empty inside the root, because mounting them takes more than root rights.
    """
    folder = Path("/sys/devices/system/cpu")
    told = [Path("/proc/cpuinfo"), *folder.glob("*"), *folder.glob("cpu[0-9]*/topology/*")]
    for path in told:
        if path.is_file() and os.access(path, os.R_OK):
            copy = _outside(root, path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(OSError):  # some may be opened, yet not be read
                copy.write_bytes(path.read_bytes())


def _link_python(root: Path) -> None:
    """The venv and the Python it stands on, at the same paths inside the root."""
    wanted = [Path(sys.prefix)]
    base = Path(sys.base_prefix)
    if base in (Path("/usr"), Path("/usr/local"), Path("/")):  # shared with other programs
        wanted += [Path(os.path.realpath(sys.executable)), Path(sysconfig.get_path("stdlib"))]
        library = Path(sysconfig.get_config_var("LIBDIR")) / sysconfig.get_config_var("LDLIBRARY")
        wanted += [library] if library.suffix != ".a" and library.exists() else []
    else:
        wanted.append(base)
    record = root / LINKED
    linked: dict[str, str] = json.loads(record.read_text()) if record.exists() else {}
    for path in wanted:
        copy, state = _outside(root, path), _state(path)
        if copy.exists() and linked.get(str(path), state) == state:
            continue  # as it was in the last run, or Debian's own
        if copy.is_dir():
            shutil.rmtree(copy)
        copy.parent.mkdir(parents=True, exist_ok=True)
        _link_tree(path, copy)
        linked[str(path)] = state
        record.write_text(json.dumps(linked))
    source = Path(inference_server.__file__).parent
    if not source.is_relative_to(sys.prefix):  # an editable install: files that may yet change
        copy = _outside(root, source)
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))


def _state(path: Path) -> str:
    """Changes when pip installs or removes something in a venv; made from times of change."""
    watched = [path, *path.glob("lib/python*/site-packages/*")]
    return hashlib.sha256(
        "".join(f"{p} {p.lstat().st_mtime_ns}\n" for p in sorted(watched)).encode()
    ).hexdigest()


def _link_tree(path: Path, copy: Path) -> None:
    linked = subprocess.run(["cp", "-al", "--remove-destination", path, copy], capture_output=True)
    if linked.returncode != 0:  # another disk
        shutil.rmtree(copy, ignore_errors=True)
        subprocess.run(["cp", "-a", "--remove-destination", path, copy], check=True)


def _write_install_record(home: Path) -> None:
    home.mkdir()
    python = str(Path(sys.prefix) / "bin" / "python")
    record = {
        "version": inference_server.__version__,
        "python": python,
        "command": [python, "-m", "inference_server", "serve"],
        "home": f"{INSIDE}/home",
        "device": "cpu",
    }
    (home / "install.json").write_text(json.dumps(record, indent=1))


def _check_server(root: Path, environment: dict[str, str]) -> None:
    """Asks the server for its hello, inside the root."""
    record = json.loads((_outside(root, INSIDE) / "home/install.json").read_text())
    interpreter = _chroot(root, environment, record["python"], "-c", "import ssl, ctypes, lzma")
    if interpreter.returncode != 0:
        reason = interpreter.stdout.decode(errors="replace")[-500:]
        raise CannotSetUp(f"{record['python']} does not run inside Debian {root}:\n{reason}")
    hello = _chroot(root, environment, *record["command"], stdin=ANSWER_HELLO)
    if b'"result"' not in hello.stdout:
        raise RuntimeError(f"The server does not answer: {hello.stdout.decode(errors='replace')}")


def _install_extension(root: Path, outside: Path, environment: dict[str, str]) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "blender_addon", outside / "source", ignore=ignored)
    steps = (
        ("validate", f"{INSIDE}/source"),
        ("build", "--source-dir", f"{INSIDE}/source", "--output-filepath", f"{INSIDE}/ext.zip"),
        ("install-file", "-r", "user_default", "--enable", f"{INSIDE}/ext.zip"),
    )
    for words in steps:
        _blender(root, environment, "--command", "extension", *words)
    _blender(
        root,
        environment,
        "--background",
        "--python-exit-code",
        "1",
        "--python-expr",
        PREPARE_BLENDER,
    )


def _blender(root: Path, environment: dict[str, str], *words: str) -> None:
    done = _chroot(root, environment, "blender", *words)
    if done.returncode != 0:
        output = done.stdout.decode(errors="replace")[-2000:]
        raise RuntimeError(f"`blender {' '.join(words)}` failed:\n{output}")


def _chroot(
    root: Path, environment: dict[str, str], *words: str, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    variables = {"PATH": os.defpath + ":/usr/sbin", "HOME": "/root", "LANG": "C.UTF-8"}
    return subprocess.run(
        ["chroot", str(root), *words],
        env=variables | environment,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
    )


def _outside(root: Path, path: Path) -> Path:
    """Where this machine sees a path of the root."""
    return root / path.relative_to("/")
