"""The first module of docs/python.md."""

from typing import Dict

from bulkhead import Context, Error, Module

app = Module("stock", "0.1.0")
counts: Dict[str, int] = {}


@app.command
def put(ctx: Context, item: str, count: int = 1) -> dict:
    """Puts pieces of an item on the shelf."""
    counts[item] = counts.get(item, 0) + count
    return {"left": counts[item]}


@app.command(idempotent=True)
def count(ctx: Context, item: str) -> dict:
    """Says how many pieces of an item there are."""
    if item not in counts:
        raise Error(f"there is no item {item!r}", code="not_found")
    return {"left": counts[item]}


if __name__ == "__main__":
    app.run()
