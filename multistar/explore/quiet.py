"""What the page's server leaves unsaid: that a browser left while something was being sent to it."""

import logging

LOGGERS = ("asyncio", "bokeh.server", "tornado.application", "tornado.general")
HARMLESS = ("WebSocketClosedError", "StreamClosedError")


class BrowserLeft(logging.Filter):
    """Drops records of errors that mean no more than a closed tab."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[0] if record.exc_info else None
        return error is None or error.__name__ not in HARMLESS


def hide_closed_tabs() -> None:
    """Let these loggers drop such records."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(BrowserLeft())
