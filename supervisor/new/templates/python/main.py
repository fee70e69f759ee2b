"""The module `@NAME@`: its commands. The host runs this file."""

from bulkhead import Context, Module

app = Module("@NAME@", "0.1.0")


@app.command(idempotent=True, examples=[{"args": {"name": "Ada"}, "returns": {"greeting": "hello, Ada"}}])
def greet(ctx: Context, name: str) -> dict:
    """Greets by name."""
    return {"greeting": f"hello, {name}"}


if __name__ == "__main__":
    app.run()
