"""The command line of install.py."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from inference_server.home import home as home_folder

from .archive import Archive
from .children import Children, cancel_on_signals, cancel_when_stdin_closes, clean_environment
from .console import CancelledByUser, Console, InstallError
from .demo import Demo
from .steps import Installer, Wishes
from .suite import Suite
from .workplace import Workplace, occupied

CANCELLED_STATUS = 130  # as a shell reports Ctrl+C


def main(words: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    arguments = _arguments(list(sys.argv[1:] if words is None else words))
    console = Console(as_json=arguments.progress_json)
    children = Children()
    cancel_on_signals(children)
    if arguments.progress_json:
        cancel_when_stdin_closes(children)
    try:
        status = _run(arguments, console, children)
        console.finish()
        return status
    except CancelledByUser as error:
        console.fail(error)
        return CANCELLED_STATUS
    except InstallError as error:
        console.fail(error)
        return 1
    finally:
        console.close_log()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="install.py",
        description="Sets up Animate Portrait. Without a command: installs, or repairs.",
    )
    parser.add_argument("--upgrade", action="store_true", help="also take newer packages")
    parser.add_argument(
        "--dev", action="store_true", help="use these sources in place; install pytest, ruff, mypy"
    )
    parser.add_argument(
        "--progress-json", action="store_true", help="one JSON object per line, for the add-on"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("check", help="say whether everything is in place")
    commands.add_parser("uninstall", help="remove everything that install made")
    commands.add_parser("models", help="list, import, fetch, verify model weights", add_help=False)
    demo = commands.add_parser("demo", help="set up, then animate the sample portrait in Blender")
    demo.add_argument("--out", type=Path, default=Path("demo_output"), help="folder for the result")
    commands.add_parser("test", help="set up all that the tests need, run them; takes pytest words")
    package = commands.add_parser("package", help="build the extension zip")
    package.add_argument("--out", type=Path, default=Path("dist"), help="folder for the zip")
    return parser


def _arguments(words: list[str]) -> argparse.Namespace:
    """The command line; what follows `models` and `test` is handed on as it is."""
    parser = _parser()
    first = next((word for word in words if not word.startswith("-")), None)
    rest = []
    if first in ("models", "test"):
        cut = words.index(first) + 1
        words, rest = words[:cut], words[cut:]
    arguments = parser.parse_args(words)
    if (arguments.dev or arguments.upgrade) and arguments.command is not None:
        parser.error("--dev and --upgrade belong to the installation, without a command")
    arguments.rest = rest
    return arguments


def _run(arguments: argparse.Namespace, console: Console, children: Children) -> int:
    if arguments.command == "check":
        place = Workplace(home_folder())
        Installer(place, console, children).check()
        return 0
    if arguments.command == "models":
        return _models(arguments.rest)
    if arguments.command == "uninstall" and not home_folder().is_dir():
        console.say(f"Nothing is installed in {home_folder()}.")
        return 0
    with occupied(console.open_log) as place:
        status = _change(arguments, place, console, children)
    if arguments.command == "uninstall":
        with suppress(OSError):  # something of the user's is in it
            home_folder().rmdir()
    return status


def _change(
    arguments: argparse.Namespace, place: Workplace, console: Console, children: Children
) -> int:
    """The commands that write into the home folder."""
    installer = Installer(place, console, children)
    if arguments.command == "uninstall":
        installer.uninstall()
    elif arguments.command is None:
        installer.install(Wishes(dev=arguments.dev, upgrade=arguments.upgrade))
    elif arguments.command == "demo":
        Demo(place, console, children).run(arguments.out)
    elif arguments.command == "package":
        Archive(place, console, children).build(arguments.out.absolute())
    elif arguments.command == "test":
        return Suite(place, console, children).run(arguments.rest)
    return 0


def _models(words: list[str]) -> int:
    """Hands `models ...` to the installed server."""
    record = Workplace(home_folder()).read_record()
    if record is None:
        raise InstallError("The server is not installed.", "Run: python install.py")
    command = [record.python, "-m", "inference_server", "models", *words]
    return subprocess.run(command, env=clean_environment(), cwd=os.getcwd()).returncode
