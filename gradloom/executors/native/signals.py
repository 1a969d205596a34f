"""Ctrl-C inside a program whose loop does not end.

Python runs the handlers of signals between its own instructions, so machine code keeps them waiting.  A loop without a
known number of turns therefore calls back now and then.  Handlers run in the main thread alone; where another thread
called the program, the callback does nothing.
"""

from __future__ import annotations

import ctypes
from collections.abc import Generator

_CALLBACK = ctypes.CFUNCTYPE(None)


class Signals:
    """Lets handlers of signals run while a program does; what they raise waits until the program has ended.

    Args:
        stop: a word of the program's state; not 0 tells its loops to end.

    Attributes:
        address: what a loop calls.
        raised: what handlers have raised.
    """

    def __init__(self, stop: ctypes.c_int64) -> None:
        self.raised: list[BaseException] = []
        self._callback = _CALLBACK(_handling(stop, self.raised).__next__)
        self.address = ctypes.cast(self._callback, ctypes.c_void_p).value or 0

    def check(self) -> None:
        """Raise what a handler raised during the call."""
        if self.raised:
            raise self.raised.pop()


def _handling(stop: ctypes.c_int64, raised: list[BaseException]) -> Generator[None]:
    """Run handlers each time that this is resumed.

    They run, and raise, where Python enters a function, which in a function called back would be outside any ``try``.
    A generator is entered where it waits.
    """
    while True:
        try:
            while True:
                yield
        except GeneratorExit:
            raise
        except BaseException as error:
            raised.append(error)
            stop.value = 1
