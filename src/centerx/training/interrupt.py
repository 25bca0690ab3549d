"""Ctrl-C while training."""

from __future__ import annotations

import signal
import threading
from types import FrameType

import lightning as L


class Interrupt(L.Callback):
    """Ends training at Ctrl-C at the next step at the latest.

    Python drops an exception raised within a destructor or a weak reference's callback, and data loaders have those:
    what Ctrl-C raises there is raised again.
    """

    def __init__(self) -> None:
        self._pressed = False

    def on_train_start(self, *_: object) -> None:
        """Listen until Lightning, when training ends in whatever way, puts back the handlers that it found.

        Unless the process was started to ignore Ctrl-C, as those in the background of a script are.
        """
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._press)

    def _press(self, number: int, frame: FrameType | None) -> None:
        if not self._pressed:  # pressed again, it would only interrupt the end
            self._pressed = True
            raise KeyboardInterrupt

    def on_train_batch_start(self, *_: object) -> None:
        """Raise what was dropped."""
        if self._pressed:
            raise KeyboardInterrupt

    def on_train_end(self, *_: object) -> None:
        """Raise what was dropped after the last step began."""
        self.on_train_batch_start()
