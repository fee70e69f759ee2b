#!/usr/bin/env python3
"""A module of Bulkhead in plain Python, written from PROTOCOL.md alone."""
import json, os, socket, struct, sys, traceback

if "BULKHEAD_FD" in os.environ:                                     # transport = "socket"
    channel = socket.socket(fileno=int(os.environ["BULKHEAD_FD"])).makefile("rwb")
    source, sink = channel, channel
else:                                                               # transport = "stdio"
    source, sink = sys.stdin.buffer, sys.stdout.buffer

def receive():
    prefix = source.read(4)
    if len(prefix) < 4:
        sys.exit(1 if prefix else 0)                                # the host is gone
    (length,) = struct.unpack(">I", prefix)
    return json.loads(source.read(length))

def send(message):
    if message["id"] is None:                                       # an event without an id is not answered
        return
    body = json.dumps(message).encode()
    sink.write(struct.pack(">I", len(body)) + body)
    sink.flush()

def fail(id, code, sentence, **more):
    send({"id": id, "status": "error", "code": code, "error": sentence, **more})

def command(id, name, args):
    if name == "echo":
        send({"id": id, "status": "success", "data": args})
    elif name == "count":
        total = int(float((args or {}).get("to", 3)))
        for done in range(1, total + 1):
            send({"id": id, "status": "progress", "data": {"done": done, "total": total}})
        send({"id": id, "status": "success", "data": total})
    else:
        fail(id, "unknown_command", f"there is no command {name!r}; known are echo, count")

while True:
    message = receive()
    id, kind, payload = message.get("id"), message.get("type"), message.get("payload")
    if kind == "init":
        known = ["count", {"name": "echo", "idempotent": True}]
        ready = {"name": "echo", "version": "1", "protocol": 1, "commands": known}
        send({"id": id, "status": "success", "data": ready})
        print("ready as", payload["instance"], file=sys.stderr)     # a line of the log
    elif kind == "command":
        try:
            command(id, payload.get("name"), payload.get("args"))
        except (ValueError, TypeError, AttributeError) as error:
            fail(id, "bad_request", str(error))
        except Exception as error:                                  # what state this left is not known
            traceback.print_exc()
            fail(id, "module_error", f"{type(error).__name__}: {error}", last=True)
            sys.exit(1)                                             # what was sent after it has not begun
    elif kind in ("ping", "cancel", "event", "shutdown"):
        send({"id": id, "status": "success", "data": None})
        if kind == "shutdown":
            sys.exit(0)
    elif kind is not None:
        fail(id, "unknown_type", f"this module does not know requests of type {kind}")
