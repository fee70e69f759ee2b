import json, os, signal, struct, sys, time

VERSION = "@VERSION@"

def receive():
    prefix = sys.stdin.buffer.read(4)
    if len(prefix) < 4:
        sys.exit(0)
    return json.loads(sys.stdin.buffer.read(struct.unpack(">I", prefix)[0]))

def send(id, data):
    body = json.dumps({"id": id, "status": "success", "data": data}).encode()
    sys.stdout.buffer.write(struct.pack(">I", len(body)) + body)
    sys.stdout.buffer.flush()

while True:
    message = receive()
    id, kind, payload = message["id"], message["type"], message.get("payload")
    if kind == "init":
        print("this is", VERSION, file=sys.stderr, flush=True)
        if VERSION.startswith("broken"):
            sys.exit("cannot begin")
        send(id, {"name": payload["module"], "version": "1", "protocol": 1, "commands": ["version", "die"]})
    elif kind == "command" and payload["name"] == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(60)
    elif kind == "command":
        send(id, {"version": VERSION, "args": payload.get("args"), "same": [1, 2, 3]})
    elif kind == "shutdown" and VERSION.startswith("stubborn"):
        time.sleep(600)
    elif kind == "shutdown":
        send(id, None)
        sys.exit(0)
    else:
        send(id, None)
