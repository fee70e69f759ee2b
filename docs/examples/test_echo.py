#!/usr/bin/env python3
"""A test of echo.py in plain Python, without an SDK: it speaks the wire to `bulkhead test-host`."""
import json, os, struct, subprocess, sys

bulkhead = os.environ.get("BULKHEAD_BIN", "bulkhead")
module = os.path.join(os.path.dirname(os.path.abspath(__file__)), "echo.py")
host = subprocess.Popen([bulkhead, "test-host", "--", sys.executable, module], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
events, progress = [], []

def send(message):
    body = json.dumps(message).encode()
    host.stdin.write(struct.pack(">I", len(body)) + body)
    host.stdin.flush()

def receive():
    prefix = host.stdout.read(4)
    assert prefix, "the test host has ended; its standard error says why"
    message = json.loads(host.stdout.read(struct.unpack(">I", prefix)[0]))
    if message.get("type") == "event":
        events.append(message["payload"])
    elif message.get("status") == "progress":
        progress.append(message["data"])
    return message

def ask(id, to, name, args=None):
    send({"id": id, "type": "command", "to": to, "payload": {"name": name, "args": args}})
    while True:
        message = receive()
        if message.get("id") == id and message.get("status") in ("success", "error"):
            return message

assert ask(1, "echo", "echo", {"a": 1})["data"] == {"a": 1}
assert ask(2, "echo", "count", {"to": 2})["data"] == 2
assert progress == [{"done": 1, "total": 2}, {"done": 2, "total": 2}]
assert ask(3, "echo", "sing")["code"] == "unknown_command"
assert ask(4, "supervisor", "crashes", {"name": "echo"})["data"]["crashes"] == []
assert [event["data"]["instance"] for event in events if event["event"] == "module.ready"] == ["echo#1"]

host.stdin.close()                                                  # ends the host and the module
assert host.wait() == 0
print("passed")
