"""Official MCP servers as modules of a real daemon, called through `bulkhead mcp` by the official Python SDK.

Usage: check.py BULKHEAD NODE_MODULES
"""

import asyncio
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client

BULKHEAD = os.path.abspath(sys.argv[1])
PACKAGES = pathlib.Path(sys.argv[2]).resolve() / "@modelcontextprotocol"
START_MAX = "60s"


def manifest(modules, name, server, *arguments):
    folder = modules / name
    folder.mkdir()
    command = json.dumps(["node", str(PACKAGES / server / "dist" / "index.js"), *arguments])
    # Node takes seconds to start on a busy machine.
    limits = "[limits]\nstart_timeout = \"60s\"\n"
    (folder / "module.toml").write_text(f'[module]\nname = "{name}"\ntype = "mcp"\ncommand = {command}\n{limits}')


class Daemon:
    """A daemon with three servers, in a folder of its own."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.socket = str(self.folder / "control.sock")
        self.files = self.folder / "files"
        self.files.mkdir()
        (self.files / "note.txt").write_text("remember\n")
        modules = self.folder / "modules"
        modules.mkdir()
        manifest(modules, "everything", "server-everything", "stdio")
        manifest(modules, "files", "server-filesystem", str(self.files))
        manifest(modules, "memory", "server-memory")
        (modules / "memory" / "module.toml").open("a").write(
            f'[module.env]\nMEMORY_FILE_PATH = "{self.folder}/memory.jsonl"\n'
        )
        words = ["run", "--modules", str(modules), "--state", str(self.folder / "state"), "--socket", self.socket]
        # The files of the checkout may be another user's.
        owner = os.stat(BULKHEAD).st_uid
        words += ["--trust-user", str(owner)] if owner != os.getuid() else []
        self.process = subprocess.Popen([BULKHEAD, *words], stderr=subprocess.DEVNULL)

    def bulkhead(self, *words):
        done = subprocess.run(
            [BULKHEAD, "--socket", self.socket, *words], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"bulkhead {words}: {done.stderr}"
        return done.stdout

    def client(self, mode, *words):
        parameters = StdioServerParameters(command=BULKHEAD, args=["--socket", self.socket, "mcp", *words])
        return Client(stdio_client(parameters), mode=mode)

    def end(self):
        self.process.terminate()
        assert self.process.wait(60) == 0, "the daemon ends well"


def text(result):
    return "\n".join(content.text for content in result.content if content.type == "text")


async def calls(daemon, mode):
    """What a client does, by either greeting."""
    async with daemon.client(mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        for name in ("everything__echo", "files__read_text_file", "memory__read_graph"):
            assert name in tools, f"expected {name} among {sorted(tools)}"
        assert tools["files__read_text_file"].annotations.read_only_hint is True
        assert tools["memory__read_graph"].output_schema is not None

        echoed = await client.call_tool("everything__echo", {"message": "hello"})
        assert "hello" in text(echoed) and not echoed.is_error, echoed

        read = await client.call_tool("files__read_text_file", {"path": str(daemon.files / "note.txt")})
        assert "remember" in json.dumps(read.structured_content), read
        outside = await client.call_tool("files__read_text_file", {"path": "/etc/passwd"})
        assert outside.is_error and "Access denied" in text(outside), outside

        entity = {"name": mode, "entityType": "test", "observations": ["it was here"]}
        await client.call_tool("memory__create_entities", {"entities": [entity]})
        graph = await client.call_tool("memory__read_graph", {})
        assert any(found["name"] == mode for found in graph.structured_content["entities"]), graph

        steps = []

        async def progress(done, total, message):
            steps.append((done, total))

        long = await client.call_tool(
            "everything__trigger-long-running-operation", {"duration": 1, "steps": 4}, progress_callback=progress
        )
        assert not long.is_error, long
        assert steps == [(float(step), 4.0) for step in range(1, 5)], steps

        many = await asyncio.gather(
            *(client.call_tool("everything__get-sum", {"a": number, "b": 1}) for number in range(50))
        )
        for number, result in enumerate(many):
            assert f"is {number + 1}" in text(result), result

        try:
            unknown = await client.call_tool("everything__sing", {})
            assert unknown.is_error, unknown
        except MCPError as error:
            assert "no tool" in str(error), error

        uris = {str(resource.uri) for resource in (await client.list_resources()).resources}
        assert {"bulkhead://logs/everything", "bulkhead://crashes/memory"} <= uris, uris
        log = await client.read_resource("bulkhead://logs/everything")
        assert "the MCP server changed its tools" in log.contents[0].text, log


async def crashes(daemon):
    """A server that is killed is there again, and its record can be read."""
    async with daemon.client("legacy", "--module", "memory") as client:
        status = json.loads(daemon.bulkhead("status", "memory", "--json"))
        children = pathlib.Path(f"/proc/{status['pid']}/task/{status['pid']}/children").read_text().split()
        os.kill(int(children[0]), 9)
        for _ in range(600):
            status = json.loads(daemon.bulkhead("status", "memory", "--json"))
            if status["restarts"] == 1 and status["state"] == "ready":
                break
            await asyncio.sleep(0.1)
        else:
            raise AssertionError(f"expected another process, found {status}")
        graph = await client.call_tool("memory__read_graph", {})
        assert len(graph.structured_content["entities"]) == 2, graph
        records = json.loads((await client.read_resource("bulkhead://crashes/memory")).contents[0].text)
        record = await client.read_resource(records["crashes"][0]["uri"])
        assert "SIGKILL" in record.contents[0].text, record


async def reads(daemon):
    """Only what changes nothing."""
    async with daemon.client("legacy", "--read-only", "--module", "files") as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert "files__read_text_file" in names and "files__write_file" not in names, names


def main():
    with tempfile.TemporaryDirectory(prefix="bulkhead-mcp-") as folder:
        daemon = Daemon(folder)
        try:
            for module in ("everything", "files", "memory"):
                daemon.bulkhead("wait", module, "--for", "ready", "--timeout", START_MAX)
            for mode in ("legacy", "auto"):
                asyncio.run(calls(daemon, mode))
                print(f"ok: three official servers through the official client, by the greeting {mode}")
            asyncio.run(crashes(daemon))
            print("ok: a server that is killed is there again")
            asyncio.run(reads(daemon))
            print("ok: only reads")
        finally:
            daemon.end()


main()
