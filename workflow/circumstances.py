"""A pytest plugin: the clock is SHIFTED_DAYS ahead, directories are listed in the order of DIRECTORIES, and the names
of the collected tests are written to COLLECTED. `lint_collection.py` sets the three, and the rest of the environment.

Everything is in place before a test module is imported, and for the collection only: no test runs under it.
"""

import ctypes
import datetime
import gc
import glob
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from pathlib import Path

AHEAD = 86400 * float(os.environ["SHIFTED_DAYS"])
BACKWARDS = os.environ["DIRECTORIES"] == "backwards"


class _Entries:
    """What `os.scandir` returns, in an order of ours."""

    def __init__(self, entries: Iterable[os.DirEntry]) -> None:
        self._entries = iter(sorted(entries, key=attrgetter("name"), reverse=BACKWARDS))

    def __iter__(self) -> Iterator[os.DirEntry]:
        return self._entries

    def __next__(self) -> os.DirEntry:
        return next(self._entries)

    def __enter__(self) -> "_Entries":
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def close(self) -> None:
        self._entries = iter(())


def order_directories() -> None:
    """List directories forwards or backwards: a file system promises no order."""
    scandir, listdir = os.scandir, os.listdir

    def ordered(path: str | int | os.PathLike = ".") -> _Entries:
        with scandir(path) as entries:
            return _Entries(list(entries))

    os.scandir = ordered
    os.listdir = lambda path=".": sorted(listdir(path), reverse=BACKWARDS)
    if hasattr(getattr(glob, "_StringGlobber", None), "scandir"):  # Python 3.13's keeps the function, not its name
        glob._StringGlobber.scandir = staticmethod(ordered)


def _at(function: Callable, arguments: int) -> Callable:
    """A function of `time` whose last argument, where it is left out, is the moment that the shifted clock shows."""

    def shifted(*given: object) -> object:
        missing = len(given) < arguments or given[-1] is None
        moment = time.time() if function in _OF_SECONDS else time.localtime()
        return function(*given[: arguments - 1], moment) if missing else function(*given)

    return shifted


_OF_SECONDS = (time.localtime, time.gmtime, time.ctime)


def shift_clock() -> None:
    """Put the clock of `time` and `datetime` ahead."""
    now, now_ns = time.time, time.time_ns
    arguments = {"localtime": 1, "gmtime": 1, "ctime": 1, "asctime": 1, "strftime": 2}
    functions = {name: _at(getattr(time, name), count) for name, count in arguments.items()}
    time.time = lambda: now() + AHEAD
    time.time_ns = lambda: now_ns() + int(AHEAD * 1e9)
    for name, function in functions.items():
        setattr(time, name, function)

    def moment(cls: type[datetime.datetime], tz: datetime.tzinfo | None = None) -> datetime.datetime:
        return cls.fromtimestamp(time.time(), tz)

    _set_in(datetime.datetime, "now", moment)
    _set_in(datetime.datetime, "today", moment)
    _set_in(datetime.datetime, "utcnow", lambda cls: cls.fromtimestamp(time.time(), datetime.UTC).replace(tzinfo=None))
    _set_in(datetime.date, "today", lambda cls: cls.fromtimestamp(time.time()))


def _set_in(built_in: type, name: str, function: Callable) -> None:
    """Set a class method of a built-in class in it: extension modules take no subclass in its place."""
    (methods,) = gc.get_referents(built_in.__dict__)
    methods[name] = classmethod(function)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(built_in))


def pytest_collection_finish(session: object) -> None:
    Path(os.environ["COLLECTED"]).write_text(json.dumps([item.nodeid for item in session.items]), encoding="utf-8")


order_directories()
shift_clock()
