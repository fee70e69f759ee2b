"""A module that dies of each query and command until the file `mended` is in its folder, and counts what it has done."""

import json
import os
import signal
import struct
import sys


def messages():
    while len(head := sys.stdin.buffer.read(4)) == 4:
        yield json.loads(sys.stdin.buffer.read(struct.unpack(">I", head)[0]))


def answer(request, data):
    frame = json.dumps({"id": request["id"], "status": "success", "data": data}).encode()
    sys.stdout.buffer.write(struct.pack(">I", len(frame)) + frame)
    sys.stdout.buffer.flush()


for message in messages():
    kind = message["type"]
    if kind == "init":
        answer(message, {"name": "fragile", "version": "1", "protocol": 1, "commands": ["work"]})
    elif kind in ("query", "command"):
        if not os.path.exists("mended"):
            os.kill(os.getpid(), signal.SIGABRT)
        with open("done", "a") as done:
            done.write("x")
        answer(message, {"done": os.path.getsize("done")})
    else:
        answer(message, None)
    if kind == "shutdown":
        break
