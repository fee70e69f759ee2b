"""A module that does, for each command, the steps that its arguments list, and answers with what came
of them. Beside the wire it knows nothing: each step is a message of PROTOCOL.md, or a misdeed."""
import json, os, socket, struct, sys, time

channel = socket.socket(fileno=int(os.environ["BULKHEAD_FD"])).makefile("rwb")
waiting, own, config, seen = [], 0, {}, []

def receive():
    prefix = channel.read(4)
    if len(prefix) < 4:
        sys.exit(0)
    return json.loads(channel.read(struct.unpack(">I", prefix)[0]))

def send(message):
    body = json.dumps(message).encode()
    channel.write(struct.pack(">I", len(body)) + body)
    channel.flush()

def ask(of, kind, payload, more={}):
    """Sends a request and waits for its answer; what else comes is kept for later."""
    global own
    own += 1
    send({"id": own, "type": kind, "payload": payload, "of": of, **more})
    while True:
        message = receive()
        if message.get("status") and message.get("id") == own:
            return message
        if message.get("type") in ("ping", "cancel"):
            send({"id": message["id"], "status": "success"})
        else:
            waiting.append(message)

class Failed(Exception):
    pass

def run(id, steps, key=None):
    global own
    results = []
    for step in steps or []:
        (what, value), = step.items()
        if what in ("query", "mutation", "event"):
            answer = ask(id, what, value)
            results.append(answer.get("data") if answer["status"] == "success" else {"code": answer["code"], "error": answer["error"]})
        elif what == "call":                        # asks another module, with a key if there is one
            to, name, args, key = value
            answer = ask(id, "command", {"name": name, "args": args}, {"to": to, "key": key} if key else {"to": to})
            results.append({"code": answer["code"], "error": answer["error"]} if answer["status"] == "error" else answer.get("data"))
        elif what == "long":                        # a long answer
            results.append("x" * value)
        elif what == "burst":                       # many events of a length
            for _ in range(value[0]):
                ask(id, "event", {"event": "loud.said", "data": "x" * value[1]})
        elif what == "dash":                        # changes something and does not wait for the answer
            own += 1
            send({"id": own, "type": "mutation", "payload": value, "of": id})
        elif what == "add":                         # reads a counter and writes it one higher
            found = ask(id, "query", {"entity": "Counter", "filters": {"name": value}})
            if found["status"] != "success":
                raise Failed(found["error"])
            entities = found["data"]["entities"]
            if entities:
                one = entities[0]
                change = {"operation": "update", "id": one["id"], "data": {"n": one["data"]["n"] + 1}}
            else:
                change = {"operation": "create", "data": {"name": value, "n": 1}}
            answer = ask(id, "mutation", {"entity": "Counter", **change})
            if answer["status"] != "success":
                raise Failed(answer["error"])
            results.append((entities[0]["data"]["n"] if entities else 0) + 1)
        elif what == "nap":
            time.sleep(value / 1000)
        elif what == "say":
            print(value, file=sys.stderr, flush=True)
        elif what == "fail":
            raise Failed(value)
        elif what == "seen":
            results.append(list(seen))
        elif what == "number_seen":
            results.append(len(seen))
        elif what == "crash_once":                  # a file marks the second try
            if not os.path.exists(value):
                open(value, "w").close()
                os._exit(9)
        elif what == "crash":
            os._exit(9)
    return results

while True:
    message = waiting.pop(0) if waiting else receive()
    id, kind, payload = message.get("id"), message.get("type"), message.get("payload")
    try:
        if kind == "init":
            config = payload["config"]
            known = [{"name": "again", "idempotent": True}, "do"]
            send({"id": id, "status": "success", "data": {"name": "steps", "version": "1", "protocol": 1, "commands": known}})
        elif kind == "command":
            send({"id": id, "status": "success", "data": run(id, payload.get("args"))})
        elif kind == "event":
            seen.append({"event": payload["event"], "data": payload.get("data"), "cursor": payload.get("cursor")})
            if config.get("poison") and os.path.exists("poisoned"):
                raise Failed("as asked")
            run(id, config.get("on_event"))
            send({"id": id, "status": "success"})
        elif kind is not None:
            send({"id": id, "status": "success"})
            if kind == "shutdown":
                sys.exit(0)
    except Failed as failed:
        send({"id": id, "status": "error", "code": "module_error", "error": str(failed)})
