"""A module that keeps a list of ids: in memory, where a kill loses it, or in a file, where it does not look whether an id
is there already. For tests of programs that have to notice both."""

import json
import os
import socket
import struct
import sys
import time

channel = socket.socket(fileno=int(os.environ["BULKHEAD_FD"])).makefile("rwb")
memory = []
path = None


def send(id, status, **members):
    body = json.dumps({"id": id, "status": status, **members}).encode()
    channel.write(struct.pack(">I", len(body)) + body)
    channel.flush()


def add(id):
    if sys.argv[1] == "memory":
        memory.append(id)
    else:
        with open(path, "a") as file:
            file.write(id + "\n")
        # Nearly every kill falls between an effect and its answer.
        time.sleep(0.04)


def listed():
    if sys.argv[1] == "memory":
        return memory
    return open(path).read().split() if os.path.exists(path) else []


while prefix := channel.read(4):
    request = json.loads(channel.read(struct.unpack(">I", prefix)[0]))
    id, kind, payload = request.get("id"), request["type"], request.get("payload")
    if kind == "init":
        path = os.path.join(payload["data_dir"], "list")
        commands = ["add", {"name": "list", "idempotent": True}]
        send(id, "success", data={"name": "ledger", "version": "1", "protocol": 1, "commands": commands})
    elif kind == "command" and payload["name"] == "add":
        add(payload["args"]["id"])
        send(id, "success")
    elif kind == "command" and payload["name"] == "list":
        send(id, "success", data=listed())
    elif id is not None:
        send(id, "success")
        if kind == "shutdown":
            break
