"""Write modules of Bulkhead in Python.

A module is a ``Module`` with handlers::

    from bulkhead import Context, Error, Module

    app = Module("greeter", "0.1.0")

    @app.command(idempotent=True)
    def greet(ctx: Context, who: str) -> dict:
        \"\"\"Greets.\"\"\"
        return {"text": f"hello, {who}"}

    if __name__ == "__main__":
        app.run()

The host starts it, sends it requests and keeps what it prints as a log. This package does not restart, retry or
supervise anything: that is the host's work.
"""

from . import log
from .context import Context
from .entities import Changed, Entity, Page
from .error import Error
from .init import Init
from .module import Event, Module
from .values import NumberText, Raw

__all__ = ["Changed", "Context", "Entity", "Error", "Event", "Init", "Module", "NumberText", "Page", "Raw", "log"]

__version__ = "0.1.0"
