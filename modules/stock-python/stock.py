"""A stockroom: counts what is on its shelves, in the host's data store."""

import os
from typing import List, Optional, TypedDict

from bulkhead import Context, Entity, Error, Event, Init, Module, log

app = Module("stock-python", "0.1.0")


class Settings:
    """What the manifest says under [config]."""

    low = 3
    audit_pause = 0.0


class Left(TypedDict):
    """How many pieces of an item there are."""

    item: str
    left: int


class Line(TypedDict):
    """A line of a delivery."""

    item: str
    count: int


@app.init
def start(init: Init, low: int = 3, audit_pause: float = 0.0) -> None:
    Settings.low = low
    Settings.audit_pause = audit_pause
    log.info(f"{init.instance} is ready; {low} pieces are few")


def find(ctx: Context, item: str) -> Optional[Entity]:
    found = ctx.find("StockItem", {"item": item}, limit=1).entities
    return found[0] if found else None


@app.command(examples=[{"args": {"item": "bolt", "count": 5}, "returns": {"item": "bolt", "left": 5}}])
def put(ctx: Context, item: str, count: int = 1) -> Left:
    """Puts pieces of an item on the shelf."""
    if count < 1:
        raise Error(f"expected a count of at least 1, found {count}", code="bad_request")
    shelf = find(ctx, item)
    if shelf is None:
        ctx.create("StockItem", {"item": item, "left": count})
        return {"item": item, "left": count}
    left = shelf.data["left"] + count
    ctx.update("StockItem", shelf.id, {"left": left})
    return {"item": item, "left": left}


@app.command
def take(ctx: Context, item: str, count: int = 1) -> Left:
    """Takes pieces of an item from the shelf."""
    shelf = find(ctx, item)
    had = shelf.data["left"] if shelf else 0
    if shelf is None or had < count:
        raise Error(f"too few left: {had} of {item!r}", code="out_of_stock", data={"left": had})
    left = had - count
    ctx.update("StockItem", shelf.id, {"left": left})
    if left < Settings.low <= had:
        ctx.log("warn", f"{item} is running low: {left} left")
        ctx.emit("stock.low", {"item": item, "left": left})
    return {"item": item, "left": left}


@app.command(idempotent=True)
def count(ctx: Context, item: str) -> Left:
    """Says how many pieces of an item there are."""
    shelf = find(ctx, item)
    if shelf is None:
        raise Error(f"there is no item {item!r}", code="not_found")
    return {"item": item, "left": shelf.data["left"]}


@app.command
def deliver(ctx: Context, lines: List[Line]) -> int:
    """Puts all lines of a delivery on the shelf, or none of them."""
    for line in lines:
        put(ctx, line["item"], line["count"])
    return len(lines)


@app.command(idempotent=True)
def audit(ctx: Context) -> dict:
    """Counts everything, slowly."""
    items = pieces = 0
    for shelf in ctx.entities("StockItem", order="item"):
        ctx.progress({"items": items, "item": shelf.data["item"]})
        ctx.wait(Settings.audit_pause)
        items += 1
        pieces += shelf.data["left"]
    return {"items": items, "pieces": pieces}


@app.command(idempotent=True)
def about(ctx: Context) -> dict:
    """Says how often this module was restarted."""
    status = ctx.call("supervisor", "status", {"name": "stock-python"})
    return {"restarts": status["restarts"]}


@app.event("stock.delivered")
def delivered(ctx: Context, event: Event, item: str, count: int) -> None:
    put(ctx, item, count)


@app.command
def crash(ctx: Context) -> None:
    """Does what a bug in a library of C does."""
    os.abort()


@app.command
def bug(ctx: Context, price: float = 0.0) -> float:
    """Divides by a price that may be nothing."""
    return 100 / price


if __name__ == "__main__":
    app.run()
