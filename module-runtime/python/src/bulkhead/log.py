"""Lines of the module's log, with a level: one JSON object a line on standard error, which the host keeps.

What a module prints is its log as well, without a level. ``bulkhead.logging`` brings the lines of the standard
library's ``logging`` here.
"""

import json
import os
from typing import Optional

_own: Optional[int] = None


def debug(message: object) -> None:
    """For the people who work on the module."""
    line("debug", message)


def info(message: object) -> None:
    """Something worth knowing happened."""
    line("info", message)


def warn(message: object) -> None:
    """Something is wrong, and the module goes on."""
    line("warn", message)


def error(message: object) -> None:
    """Something failed."""
    line("error", message)


def line(level: str, message: object) -> None:
    """Writes one line. A standard error that is gone is no reason to fail."""
    text = json.dumps({"level": level, "message": str(message)}, ensure_ascii=True, separators=(",", ":"))
    try:
        # One call, so that lines of different threads do not mix.
        os.write(2 if _own is None else _own, text.encode() + b"\n")
    except OSError:
        pass


def keep_standard_error() -> None:
    """Keeps standard error for what is said here, whatever the module makes of descriptor 2."""
    global _own
    if _own is None:
        try:
            _own = os.dup(2)
        except OSError:
            _own = None
