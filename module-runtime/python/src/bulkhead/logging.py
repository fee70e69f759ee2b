"""Lines of the standard library's ``logging`` in the module's log. It is apart from ``log``, since most modules do
without, and each start would wait for the import."""

import logging

from . import log


class Handler(logging.Handler):
    """Brings them there: ``logging.basicConfig(handlers=[bulkhead.logging.Handler()])``."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record, at the nearest of the four levels."""
        for least, name in ((logging.ERROR, "error"), (logging.WARNING, "warn"), (logging.INFO, "info")):
            if record.levelno >= least:
                break
        else:
            name = "debug"
        try:
            log.line(name, self.format(record))
        except Exception:
            self.handleError(record)
