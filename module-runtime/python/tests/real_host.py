"""The real host with modules in a temporary folder. It ends with the test, and nothing that it started is left."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from . import ROOT, SOURCE

WAIT_SECONDS = 60.0


def program() -> str:
    """The command ``bulkhead``: what ``BULKHEAD_BIN`` names, else that of ``PATH``, else the one that was built."""
    named = os.environ.get("BULKHEAD_BIN")
    built = ROOT / "target" / "debug" / "bulkhead"
    found = named or shutil.which("bulkhead") or str(built)
    if not os.access(found, os.X_OK):
        reason = f"expected the command bulkhead in BULKHEAD_BIN, in PATH or at {built}, found none that can be run"
        raise AssertionError(f"{reason}; `cargo build --workspace --bins` builds it")
    return os.path.abspath(found)


class RealHost:
    """A daemon, and calls of the command."""

    def __init__(self) -> None:
        self.program = program()
        self._temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self._temporary.name)
        self.modules = self.folder / "modules"
        self.modules.mkdir()
        self._daemon: Optional[subprocess.Popen[bytes]] = None
        # The Python that runs the tests runs the modules.
        path = f"{os.path.dirname(sys.executable)}:{os.path.dirname(self.program)}:{os.environ.get('PATH', '')}"
        kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
        self.environment = {**kept, "PATH": path, "BULKHEAD_SOCKET": str(self.folder / "host.sock")}

    def __enter__(self) -> "RealHost":
        return self

    def __exit__(self, *_: object) -> None:
        if self._daemon is not None:
            self._daemon.terminate()
            try:
                self._daemon.wait(WAIT_SECONDS)
            finally:
                self._daemon.kill()
                self._daemon.wait(WAIT_SECONDS)
        self._temporary.cleanup()

    def add(self, name: str, source: str, manifest: str = "", transport: str = "socket") -> None:
        """Adds a module of this source; ``manifest`` is what comes after its first table."""
        folder = self.modules / name
        folder.mkdir()
        (folder / "module.py").write_text(source, encoding="utf-8")
        first = f'[module]\nname = "{name}"\nversion = "1"\ncommand = ["python3", "module.py"]\n'
        first += f'transport = "{transport}"\nenv = {{ PYTHONPATH = "{SOURCE}" }}\n'
        (folder / "module.toml").write_text(first + manifest, encoding="utf-8")

    def add_folder(self, folder: Path) -> None:
        """Adds a module of the repository, whose path to the SDK is that of the repository."""
        copy = self.modules / folder.name
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("__pycache__"))
        manifest = (copy / "module.toml").read_text(encoding="utf-8")
        there = str(SOURCE.relative_to(ROOT))
        (copy / "module.toml").write_text(manifest.replace(f"../../{there}", str(SOURCE)), encoding="utf-8")

    def start(self, *names: str) -> None:
        """Starts the daemon and waits until these modules are ready."""
        command = [self.program, "run", "--modules", str(self.modules), "--state", str(self.folder / "state")]
        log = open(self.folder / "daemon.log", "wb")
        with log:
            self._daemon = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder
            )
        for name in names:
            found = self.run("wait", name, "--for", "ready")
            if found.returncode != 0:
                raise AssertionError(f"{found.stderr}\n{(self.folder / 'daemon.log').read_text(encoding='utf-8')}")

    def run(self, *arguments: str, input: Optional[str] = None) -> "subprocess.CompletedProcess[str]":
        """Runs the command with these arguments."""
        return subprocess.run(
            [self.program, *arguments],
            env=self.environment,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            timeout=WAIT_SECONDS,
            cwd=self.folder,
        )

    def until(self, is_so: Callable[[], bool], what: str) -> None:
        """Asks again and again until it is so."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not is_so():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {WAIT_SECONDS} s: {what}")

    def status(self, module: str) -> Dict[str, Any]:
        """The status of a module."""
        found: Dict[str, Any] = json.loads(self.run("status", module, "--json").stdout)
        return found

    def log(self, module: str) -> str:
        """What is in the log of a module."""
        return self.run("logs", module, "--lines", "1000").stdout

    def answer(self, *arguments: str) -> Dict[str, Any]:
        """Calls a command and returns the whole response."""
        lines: List[str] = self.run(*arguments, "--full").stdout.splitlines()
        if not lines:
            raise AssertionError(f"no answer to {arguments}")
        found: Dict[str, Any] = json.loads(lines[-1])
        return found

    def call(self, module: str, name: str, args: Any = None, *options: str) -> Dict[str, Any]:
        """Sends a command and returns the whole response."""
        return self.answer("call", module, name, json.dumps(args), *options)
