"""A browser that leaves is no error of the server; everything else is still said."""

import logging

import pytest
from tornado.websocket import WebSocketClosedError

from multistar.explore.quiet import LOGGERS, hide_closed_tabs


@pytest.mark.parametrize("name", LOGGERS)
def test_only_closed_tabs_are_hidden(name, caplog):
    before = list(logging.getLogger(name).filters)
    hide_closed_tabs()
    try:
        with caplog.at_level(logging.ERROR):
            for error in (WebSocketClosedError(), ValueError("real")):
                try:
                    raise error
                except Exception:
                    logging.getLogger(name).exception("while sending")
            logging.getLogger(name).error("without a cause")
    finally:
        logging.getLogger(name).filters[:] = before
    said = [record.exc_info[0] if record.exc_info else None for record in caplog.records]
    assert said == [ValueError, None]
