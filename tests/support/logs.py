"""Watch the log of one test for errors that nobody expected."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

OURS = ("tornado", "asyncio", "tornado_shared_session")
#: Their plain errors are remarks about clients; their tracebacks are bugs.
THEIRS = ("engineio", "socketio")


@dataclass
class _Expected:
    pattern: re.Pattern[str]
    required: bool
    seen: int = 0


class LogWatch(logging.Handler):
    """Collect ERROR records; those that match an expected regex are fine."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._expected: list[_Expected] = []
        self._records: list[logging.LogRecord] = []

    def __call__(self, *regexes: str, required: bool = True) -> None:
        """Expect an error that matches; `required`: and fail without it.

        The regex is searched in "logger: message", and in the traceback.
        """
        self._expected += [_Expected(re.compile(regex), required) for regex in regexes]

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record, unless it is a remark of one of theirs."""
        if record.name.split(".")[0] in OURS or record.exc_info:
            self._records.append(record)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Listen to the loggers for the length of a block."""
        loggers = [logging.getLogger(name) for name in (*OURS, *THEIRS)]
        for logger in loggers:
            logger.addHandler(self)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeHandler(self)

    def problems(self) -> list[str]:
        """Return what was logged and not expected, and the reverse."""
        texts = [self._text(record) for record in self._records]
        found = [f"unexpected in the log: {text}" for text in texts if not self._fits(text)]
        for expected in self._expected:
            if expected.required and not expected.seen:
                found.append(f"expected in the log, but absent: {expected.pattern.pattern}")
        return found

    def _fits(self, text: str) -> bool:
        matches = [expected for expected in self._expected if expected.pattern.search(text)]
        for expected in matches:
            expected.seen += 1
        return bool(matches)

    @staticmethod
    def _text(record: logging.LogRecord) -> str:
        text = f"{record.name}: {record.getMessage()}"
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        return text
