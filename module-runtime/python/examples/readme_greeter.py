"""The module of both READMEs."""

from bulkhead import Context, Error, Module

app = Module("greeter", "0.1.0")


@app.command(idempotent=True)
def greet(ctx: Context, name: str, times: int = 1) -> dict:
    """Greets."""
    if times > 3:
        raise Error("that is too often", code="too_often")
    return {"greeting": ", ".join([f"hello {name}"] * times)}


if __name__ == "__main__":
    app.run()
