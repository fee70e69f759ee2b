"""A host for one module's process: the other end of its channel, without supervision. Whatever it waits for has a
deadline, and the process ends with the test."""

import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from typing import Any, Dict, List, Optional

from . import SOURCE

WAIT_SECONDS = 20.0


class FakeHost:
    """A process that serves a module, and the host's end of its channel."""

    def __init__(self, source: str, transport: str = "socket", unbuffered: str = "") -> None:
        self._folder = tempfile.TemporaryDirectory()
        path = os.path.join(self._folder.name, "module.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(source))
        environment = {name: value for name, value in os.environ.items() if name != "BULKHEAD_FD"}
        environment.update({"PYTHONPATH": str(SOURCE), "BULKHEAD_TREE": "1", "PYTHONUNBUFFERED": unbuffered})
        command = [sys.executable, path]
        self.stderr = b""
        self.stdout = b""
        if transport == "socket":
            ours, theirs = socket.socketpair()
            environment["BULKHEAD_FD"] = str(theirs.fileno())
            self.process = subprocess.Popen(
                command,
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            theirs.close()
            self._socket: Optional[socket.socket] = ours
            self._source = self._sink = ours.fileno()
        else:
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            assert self.process.stdin is not None and self.process.stdout is not None
            self._socket = None
            self._source, self._sink = self.process.stdout.fileno(), self.process.stdin.fileno()
        self._threads = [threading.Thread(target=self._collect, args=("stderr",), daemon=True)]
        if transport == "socket":
            self._threads.append(threading.Thread(target=self._collect, args=("stdout",), daemon=True))
        for thread in self._threads:
            thread.start()
        self._held = b""
        self._next_id = 1

    def __enter__(self) -> "FakeHost":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(WAIT_SECONDS)
        for thread in self._threads:
            thread.join(WAIT_SECONDS)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass
        if self._socket is not None:
            self._socket.close()
        self._folder.cleanup()

    def _collect(self, name: str) -> None:
        stream = getattr(self.process, name)
        for chunk in iter(lambda: os.read(stream.fileno(), 4096), b""):
            setattr(self, name, getattr(self, name) + chunk)

    # What the host says.

    def write(self, data: bytes) -> None:
        """Bytes, whatever they are."""
        while data:
            data = data[os.write(self._sink, data) :]

    def send_text(self, text: str) -> None:
        """A frame with this text."""
        body = text.encode("utf-8")
        self.write(len(body).to_bytes(4, "big") + body)

    def send(self, kind: str, payload: Any = None, **members: Any) -> int:
        """A request; returns its id."""
        id = self._next_id
        self._next_id += 1
        message: Dict[str, Any] = {"id": id, "type": kind}
        if payload is not None:
            message["payload"] = payload
        message.update(members)
        self.send_text(json.dumps(message, separators=(",", ":")))
        return id

    def command(self, name: str, args: Any = None, **members: Any) -> int:
        """A command; returns its id."""
        return self.send("command", {"name": name, "args": args}, **members)

    def reply(self, request: Dict[str, Any], data: Any = None, **members: Any) -> None:
        """A response to a request of the module."""
        status = "error" if "error" in members else "success"
        self.send_text(json.dumps({"id": request["id"], "status": status, "data": data, **members}))

    def close(self) -> None:
        """The channel ends."""
        if self._socket is not None:
            self._socket.shutdown(socket.SHUT_RDWR)
        elif self.process.stdin is not None:
            self.process.stdin.close()

    # What the module says.

    def receive_text(self) -> str:
        """The text of the next frame."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            if len(self._held) >= 4:
                end = 4 + int.from_bytes(self._held[:4], "big")
                if len(self._held) >= end:
                    frame, self._held = self._held[4:end], self._held[end:]
                    return frame.decode("utf-8")
            if not select.select([self._source], [], [], max(deadline - time.monotonic(), 0))[0]:
                raise AssertionError(f"no frame within {WAIT_SECONDS} s; standard error: {self.stderr.decode()}")
            data = os.read(self._source, 65536)
            if not data:
                self.process.wait(WAIT_SECONDS)
                raise EOFError(f"the channel ended; standard error: {self.stderr.decode()}")
            self._held += data

    def receive(self) -> Dict[str, Any]:
        """The next message."""
        message: Dict[str, Any] = json.loads(self.receive_text())
        return message

    def answer(self, id: int) -> Dict[str, Any]:
        """The next message, which is the answer to this request."""
        message = self.receive()
        assert message.get("id") == id and "status" in message, message
        return message

    def data(self, id: int) -> Any:
        """The data of the next message, which is the success of this request."""
        message = self.answer(id)
        assert message["status"] == "success", message
        return message["data"]

    def error(self, id: int) -> Dict[str, Any]:
        """The next message, which is the error of this request."""
        message = self.answer(id)
        assert message["status"] == "error", message
        return message

    def init(self, config: Any = None, **members: Any) -> int:
        """The first message; returns its id."""
        limits = {"frame_bytes_max": 65536, "window": 64, "requests_max": 64}
        payload = {"protocol": 1, "module": "m", "instance": "m#1", "config": config or {}, "limits": limits}
        payload.update({"capabilities": {"call": ["other"]}, "data_dir": "/data", **members})
        return self.send("init", payload)

    def ready(self, config: Any = None, **members: Any) -> Dict[str, Any]:
        """Starts the module, and returns what it says of itself."""
        found: Dict[str, Any] = self.data(self.init(config, **members))
        return found

    def exit_code(self) -> int:
        """Waits for the end of the process."""
        code = self.process.wait(WAIT_SECONDS)
        for thread in self._threads:
            thread.join(WAIT_SECONDS)
        return code

    def shut_down(self) -> None:
        """Ends the module as a host does."""
        id = self.send("shutdown")
        assert self.data(id) is None
        assert self.exit_code() == 0, self.stderr.decode()

    def log_lines(self) -> List[str]:
        """What is on standard error so far."""
        return self.stderr.decode("utf-8").splitlines()

    def until_logged(self, text: str) -> None:
        """Waits until standard error has this text."""
        deadline = time.monotonic() + WAIT_SECONDS
        while text not in self.stderr.decode("utf-8", "replace"):
            if time.monotonic() > deadline:
                raise AssertionError(f"no {text!r} within {WAIT_SECONDS} s: {self.stderr.decode()}")
            self._threads[0].join(0.01)
