"""The installer's decisions and habits; a whole installation is what `.ci/run` proves."""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from inference_server.installer import blenders, bpy_wheels, interpreters, packages, suite
from inference_server.installer.children import Children, clean_environment
from inference_server.installer.console import STAGES, CancelledByUser, Console, InstallError
from inference_server.installer.main import main
from inference_server.installer.steps import Wishes, fingerprint, server_version
from inference_server.installer.workplace import Record, Workplace, need_space, occupied

ROOT = Path(__file__).resolve().parents[1]
INSTALL = ROOT / "install.py"
ODD_NAME = "Ünï cødé space"
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="makes programs by shell scripts")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home with an awkward name, and a user without Blender or Python."""
    folder = tmp_path / ODD_NAME
    monkeypatch.setenv("ANIMATE_PORTRAIT_HOME", str(folder))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "user")
    return folder


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)
    return path


# --- which PyTorch


@pytest.mark.parametrize(
    ("system", "machine", "cuda", "names"),
    [
        ("Linux", "x86_64", None, ["cpu"]),
        ("Linux", "x86_64", (13, 0), ["cu130", "cu126", "cpu"]),
        ("Linux", "x86_64", (12, 8), ["cu126", "cpu"]),
        ("Linux", "x86_64", (11, 8), ["cpu"]),
        ("Windows", "AMD64", None, ["cpu"]),
        ("Windows", "AMD64", (13, 1), ["cu130", "cu126", "cpu"]),
        ("Darwin", "arm64", None, ["mps"]),
        ("Darwin", "x86_64", None, ["cpu"]),
    ],
)
def test_torch_builds(
    system: str, machine: str, cuda: tuple[int, int] | None, names: list[str]
) -> None:
    builds = packages.torch_builds(system, machine, cuda)
    assert [build.name for build in builds] == names
    if system == "Linux":  # never a wheel that could bring CUDA libraries nobody asked for
        assert all(f"+{b.name}" in requirement for b in builds for requirement, _ in b.sources)
        assert all(build.sources[0][1] == "" for build in builds)  # what pip is configured for


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("| NVIDIA-SMI 550.54.15   Driver Version: 550.54.15   CUDA Version: 12.4     |", (12, 4)),
        ("| NVIDIA-SMI 580.95.05  Driver Version: 580.95.05  CUDA Version: 13.0  |", (13, 0)),
        ("| NVIDIA-SMI 590.1   KMD Version: 590.1   CUDA UMD Version: 13.1  |", (13, 1)),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", None),
    ],
)
def test_parse_nvidia_smi(text: str, version: tuple[int, int] | None) -> None:
    assert packages.parse_nvidia_smi(text) == version


@posix_only
def test_driver_that_does_not_answer_is_no_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "nvidia-smi", "echo 'CUDA Version: 13.0'; exit 9\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert packages.cuda_version() is None
    program(tmp_path / "nvidia-smi", "echo 'CUDA Version: 13.0'\n")
    assert packages.cuda_version() == (13, 0)


# --- why pip failed


def test_pip_failure_names_the_cause() -> None:
    broken = "WARNING: Retrying after connection broken by 'NewConnectionError(...)': /simple/pip/"
    missing = "ERROR: No matching distribution found for mediapipe==0.10.21"
    offline = packages.pip_failure([broken, missing])
    assert "cannot be reached while looking for mediapipe" in offline.message
    assert "proxy" in offline.hint
    assert "No build of mediapipe==0.10.21" in packages.pip_failure([missing]).message
    full = packages.pip_failure(["ERROR: OSError: [Errno 28] No space left on device"])
    assert full.message == "The disk is full."
    other = packages.pip_failure(["ERROR: Something odd", "see above"])
    assert other.message == "pip failed: Something odd"
    assert "it said nothing" in packages.pip_failure([]).message


# --- which Python


@posix_only
@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"version": [3, 14], "full": "3.14.0"}, "is too new: it must be 3.10, 3.11 or 3.12"),
        ({"version": [3, 9], "full": "3.9.2"}, "is too old"),
        ({"bits": 32}, "not a 64-bit"),
        ({"missing": ["ensurepip"]}, "it has no ensurepip module"),
    ],
)
def test_unfit_pythons_say_why(tmp_path: Path, facts: dict[str, object], words: str) -> None:
    path = tmp_path / "python3.11"
    answer = {
        "version": [3, 11], "full": "3.11.2", "path": str(path), "bits": 64,
        "implementation": "cpython", "missing": [],
    }  # fmt: skip
    program(path, f"echo '{json.dumps(answer)}'\n")
    assert interpreters.probe(str(path)) == interpreters.Interpreter(str(path), (3, 11), "3.11.2")
    program(path, f"echo '{json.dumps({**answer, **facts})}'\n")
    found = interpreters.probe(str(path))
    assert found is not None
    assert words in found.problem


def test_running_python_comes_first() -> None:
    if sys.version_info[:2] not in interpreters.SUPPORTED:
        pytest.skip("this Python is not one of those the server runs on")
    assert next(interpreters.usable()).version == sys.version_info[:2]


@posix_only
def test_other_pythons_are_found_and_what_to_get_is_said(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreters, "_usual_places", lambda dotted: [])
    monkeypatch.setattr(sys, "executable", "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(InstallError, match=r"No Python 3.10, 3.11 or 3.12 was found .* python.org"):
        next(interpreters.usable())
    answer = {
        "version": [3, 12], "full": "3.12.1", "path": "/of/blender/python3.12", "bits": 64,
        "implementation": "cpython", "missing": [],
    }  # fmt: skip
    blender = program(tmp_path / "blender-5.9" / "blender", "")
    inside = tmp_path / "blender-5.9" / "5.9" / "python" / "bin" / "python3.12"
    program(inside, f"echo '{json.dumps(answer)}'\n")
    found = next(interpreters.usable(blenders=[blender]))
    assert found.path == "/of/blender/python3.12"


@posix_only
def test_missing_ensurepip_names_the_package(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreters, "_usual_places", lambda dotted: [])
    answer = {
        "version": [3, 11], "full": "3.11.2", "path": "/usr/bin/python3.11", "bits": 64,
        "implementation": "cpython", "missing": ["ensurepip"],
    }  # fmt: skip
    debian = program(tmp_path / "bin" / "python3.11", f"echo '{json.dumps(answer)}'\n")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(sys, "executable", str(debian))
    with pytest.raises(InstallError, match="sudo apt install python3.11-venv"):
        next(interpreters.usable())


# --- Blenders


def test_config_folders_of_every_platform(tmp_path: Path) -> None:
    store = tmp_path / "Local/Packages/BlenderFoundation.Blender_x/LocalCache/Roaming"
    store.mkdir(parents=True)
    environ = {"APPDATA": str(tmp_path / "Roaming"), "LOCALAPPDATA": str(tmp_path / "Local")}
    windows = blenders.config_folders(tmp_path, environ, "win32")
    assert windows == [
        tmp_path / "Roaming/Blender Foundation/Blender",
        store / "Blender Foundation/Blender",
    ]
    mac = blenders.config_folders(tmp_path, {}, "darwin")
    assert mac == [tmp_path / "Library/Application Support/Blender"]
    linux = blenders.config_folders(tmp_path, {}, "linux")
    flatpak = tmp_path / ".var/app/org.blender.Blender/config/blender"
    assert linux == [tmp_path / ".config/blender", flatpak]


def test_extension_folders(tmp_path: Path) -> None:
    config = tmp_path / ".config" / "blender"
    for name in ("3.6", "4.1", "4.2", "5.0", "notes"):
        (config / name).mkdir(parents=True)
    never_started = blenders.Blender(tmp_path / "opt" / "blender", (4, 5))
    portable = blenders.Blender(tmp_path / "stick" / "blender", (4, 3))
    (tmp_path / "stick" / "portable").mkdir(parents=True)
    found = blenders.extension_folders([never_started, portable], tmp_path, {}, "linux")
    below = [
        path.relative_to(tmp_path).as_posix()[: -len("/extensions/user_default")] for path in found
    ]
    assert below == [
        ".config/blender/4.2", ".config/blender/5.0", ".config/blender/4.5", "stick/portable",
    ]  # fmt: skip
    chosen = {"BLENDER_USER_RESOURCES": str(tmp_path / "r")}
    (only,) = blenders.extension_folders([never_started], tmp_path, chosen, "linux")
    assert only == tmp_path / "r" / "extensions" / "user_default"


@posix_only
def test_installed_blenders_are_asked_for_their_version(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin" / "blender", "echo 'Blender 4.3.2'; echo '  build date: 2025'\n")
    program(tmp_path / "user" / "blender-3.6.1" / "blender", "echo 'Blender 3.6.1'\n")
    program(tmp_path / "user" / "Downloads" / "blender-5.0.1" / "blender", "echo 'Blender 5.0.1'\n")
    program(tmp_path / "user" / "Desktop" / "blender-broken" / "blender", "exit 1\n")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(blenders, "_version_of", _version_within(tmp_path))
    assert [blender.version for blender in blenders.installed()] == [(5, 0), (4, 3)]


def _version_within(folder: Path):  # noqa: ANN202 - Blenders of this very machine do not count
    ask = blenders._version_of
    return lambda path: ask(path) if folder in path.parents else None


def test_link_and_unlink(tmp_path: Path) -> None:
    addon = tmp_path / ODD_NAME / "blender_addon"
    addon.mkdir(parents=True)
    (addon / "file.py").touch()
    folder = tmp_path / "4.2" / "extensions" / "user_default"
    place = blenders.link(addon, folder)
    assert place is not None
    assert (place / "file.py").is_file()
    assert blenders.link(addon, folder) == place  # again
    assert blenders.our_links(addon, [folder], []) == [place]
    blenders.unlink(place)
    assert not os.path.lexists(place)
    assert (addon / "file.py").is_file()


def test_link_follows_a_moved_clone_but_leaves_an_installed_extension(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    folder = tmp_path / "user_default"
    place = blenders.link(old, folder)
    old.rmdir()
    assert blenders.link(new, folder) == place
    assert place is not None
    assert place.resolve() == new.resolve()
    blenders.unlink(place)
    place.mkdir()
    (place / "installed.py").touch()
    assert blenders.link(new, folder) is None
    assert blenders.our_links(new, [folder], [str(place)]) == []
    assert (place / "installed.py").is_file()


# --- the home folder


def test_record_round_trip_and_unknown_fields(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    assert place.read_record() is None
    record = Record("0.1.0", "py", ["py", "x"], str(tmp_path), "2.13.0", "cpu", "now", links=["a"])
    place.write_record(record)
    values = json.loads(place.record_path.read_text("utf-8"))
    assert values["command"] == ["py", "x"]
    place.record_path.write_text(json.dumps({**values, "from_the_future": 1}))
    assert place.read_record() == record
    place.record_path.write_text('{"version": ')
    assert place.read_record() is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["install.json"]


def test_home_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ANIMATE_PORTRAIT_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(InstallError, match="Cannot write in .*ANIMATE_PORTRAIT_HOME"):  # noqa: SIM117
        with occupied(lambda path: None):
            pass


def test_home_is_for_one_installation_and_vanishes_when_unused(home: Path) -> None:
    with occupied(lambda path: None):
        second = subprocess.run(
            [sys.executable, str(INSTALL), "uninstall"], capture_output=True, encoding="utf-8"
        )
        assert second.returncode == 1
        assert f"process {os.getpid()}" in second.stderr
        assert len(second.stderr.splitlines()) == 1
    assert not home.exists()


def test_need_space(tmp_path: Path) -> None:
    need_space(tmp_path / "not" / "there", 0.0, "nothing")
    with pytest.raises(InstallError, match=r"for the moon: 1000000\.0 GB are needed"):
        need_space(tmp_path / "not" / "there", 1e6, "the moon")


def test_fingerprint_depends_on_wishes() -> None:
    assert fingerprint(Wishes()) == fingerprint(Wishes(upgrade=True, link=False))
    assert len({fingerprint(w) for w in (Wishes(), Wishes(dev=True), Wishes(tests=True))}) == 3


# --- child processes


def sleeper(mark: Path) -> tuple[str, ...]:
    """A standard module that writes its pid and sleeps for a minute."""
    setup = f"import os; open({str(mark)!r}, 'w').write(str(os.getpid()))"
    return ("timeit", "-n", "1", "-r", "1", "-s", setup, "import time; time.sleep(60)")


def wait_for(condition, seconds: float = 10.0) -> bool:  # noqa: ANN001
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def alive(pid: int) -> bool:
    psutil = pytest.importorskip("psutil")
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_cancel_ends_the_child(tmp_path: Path) -> None:
    import threading

    children = Children()
    mark = tmp_path / "pid"
    canceller = threading.Thread(
        target=lambda: (wait_for(mark.is_file), time.sleep(0.1), children.cancel())
    )
    canceller.start()
    with pytest.raises(CancelledByUser):
        children.run_module(sys.executable, *sleeper(mark), on_line=lambda line: None)
    canceller.join()
    assert not alive(int(mark.read_text()))
    with pytest.raises(CancelledByUser):
        children.run_module(sys.executable, "timeit", "1", on_line=lambda line: None)


def test_child_dies_with_a_killed_installer(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    code = (
        "import sys; from inference_server.installer.children import Children; "
        f"Children().run_module(sys.executable, *{sleeper(mark)!r}, on_line=print)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    assert wait_for(lambda: mark.is_file() and mark.read_text() != "")
    child = int(mark.read_text())
    parent.kill()
    parent.wait()
    assert wait_for(lambda: not alive(child), 5)


def test_misleading_variables_do_not_reach_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/of/blender")
    monkeypatch.setenv("PIP_TARGET", "/elsewhere")
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    environment = clean_environment(TMPDIR="/t")
    assert "PYTHONPATH" not in environment
    assert "PIP_TARGET" not in environment
    assert environment["PIP_INDEX_URL"] == "https://mirror.example/simple"
    assert environment["TMPDIR"] == "/t"


# --- the command line


def run_install(*words: str, script: Path = INSTALL) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(script), *words], capture_output=True, encoding="utf-8", timeout=60
    )


def test_check_without_an_installation_is_one_line(home: Path) -> None:
    done = run_install("check")
    assert done.returncode == 1
    assert done.stderr == "Error: The server is not installed. Run: python install.py\n"
    assert not home.exists()
    assert run_install("models", "list").returncode == 1
    assert run_install("uninstall").returncode == 0
    assert not home.exists()


def test_runs_beside_the_sources_alone_and_leaves_no_bytecode(home: Path, tmp_path: Path) -> None:
    server = tmp_path / ODD_NAME / "server"
    leave = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "inference_server", server / "inference_server", ignore=leave)
    shutil.copy2(INSTALL, server)
    shutil.copy2(ROOT / "pyproject.toml", server)
    done = run_install("--progress-json", "check", script=server / "install.py")
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["error"]["hint"] == "Run: python install.py"
    assert not list(server.rglob("__pycache__"))


@pytest.mark.parametrize("words", [["--wrong"], ["check", "more"], ["--dev", "check"], ["nothing"]])
def test_wrong_words_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert "error:" in capsys.readouterr().err


@posix_only
def test_broken_venv_module_leaves_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole `install` that fails early: one line, no environment, no record."""
    monkeypatch.setattr(interpreters, "_PROBE", "raise SystemExit(1)")
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert main([]) == 1
    assert sorted(path.name for path in home.iterdir()) == ["logs"]


def test_install_py_speaks_old_python() -> None:
    """Python 2 must be able to read the file that turns it away."""
    tree = ast.parse(INSTALL.read_text("utf-8"))
    for node in ast.walk(tree):
        assert not isinstance(node, (ast.JoinedStr, ast.AnnAssign, ast.FunctionDef, ast.Try))


def test_progress_json_grows_to_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(as_json=True)
    for name in STAGES:
        console.stage(name, f"{name} é")
        console._last_shown = 0.0
        console.progress(0.5, "half")
    console.say("not for programs")
    console.finish()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines.pop() == {"ok": True}
    done = [line["done"] for line in lines]
    assert done == sorted(done)
    assert all(set(line) == {"stage", "done", "total", "message"} for line in lines)
    assert sum(STAGES.values()) == lines[0]["total"] == 100


# --- the suite


def test_selection_of_tests() -> None:
    everything = suite.select([])
    assert everything.elsewhere() == ["tests"]
    assert everything.inside("tests/addon") == ["tests/addon"]
    some = suite.select(["-k", "lips and eyes", "tests/test_install.py::test_need_space", "-x"])
    assert some.elsewhere() == ["tests/test_install.py::test_need_space"]
    assert some.inside("tests/addon") == []
    assert some.options == ["-k", "lips and eyes", "-x"]


def test_report_counts(tmp_path: Path) -> None:
    report = tmp_path / "r.xml"
    report.write_text(
        '<testsuites><testsuite><testcase name="a"/><testcase name="b"><failure/></testcase>'
        '<testcase name="c"><skipped message="no media"/></testcase>'
        '<testcase name="d"><error/></testcase></testsuite></testsuites>'
    )
    outcome = suite.read_report("Server", report, 2.0)
    assert (outcome.passed, outcome.failed, outcome.skipped) == (1, 2, {"no media": 1})


def test_bpy_wheels_need_a_python_that_the_server_runs_on_too() -> None:
    assert set(bpy_wheels.NEEDED_PYTHON) <= set(interpreters.SUPPORTED)
    assert bpy_wheels.WITH_SOUND in bpy_wheels.VERSIONS


def test_version_of_the_sources() -> None:
    import inference_server

    assert server_version() == inference_server.__version__
