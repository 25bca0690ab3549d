"""Handling of Ctrl-C during training."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
from torch.distributed import DistBackendError
from torch.utils.data import DataLoader

from centerx.errors import InputError
from centerx.types import Batch

# Ctrl-C, and the end of a terminal; after SIGTERM Lightning ends the run itself.
ENDS = (signal.SIGINT, *((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()))


class Interrupt(L.Callback):
    """Ends training after Ctrl-C, at the next step at the latest.

    Python ignores an exception that is raised in a destructor or in the callback of a weak reference, both of which
    data loaders have. If Ctrl-C is pressed during one of them, this callback raises the exception again.
    """

    def __init__(self) -> None:
        self.pressed = False
        self._former: dict[int, Any] = {}
        self.started = False

    def on_train_start(self, *_: object) -> None:
        """Install the signal handler, unless the process ignores Ctrl-C, as background jobs of a shell script do.

        Lightning restores the earlier handler when training ends.
        """
        self.started = True
        for number in ENDS if threading.current_thread() is threading.main_thread() else ():
            if signal.getsignal(number) != signal.SIG_IGN:
                self._former[number] = signal.signal(number, self._press)

    def _press(self, number: int, frame: FrameType | None) -> None:
        if not self.pressed:  # a second exception would interrupt the clean-up
            self.pressed = True
            if callable(former := self._former[number]):
                former(number, frame)
            raise KeyboardInterrupt

    def on_train_batch_start(self, *_: object) -> None:
        """Raise an exception that Python ignored."""
        if self.pressed:
            raise KeyboardInterrupt

    def on_train_end(self, *_: object) -> None:
        """Raise an exception that Python ignored during the last step."""
        self.on_train_batch_start()


def fit_heeding_ctrl_c(
    trainer: L.Trainer, module: L.LightningModule, batches: DataLoader[Batch], checkpoint: Path | None = None
) -> None:
    """Train.

    Args:
        trainer: of Lightning.
        module: what is trained.
        batches: what it is trained on.
        checkpoint: to go on from.

    Raises:
        KeyboardInterrupt: Ctrl-C.
        InputError: the checkpoint is not one of such a run, or a data worker or another process was
            killed.
    """
    interrupt = next((each for each in trainer.callbacks if isinstance(each, Interrupt)), None)  # type: ignore[attr-defined]
    try:
        with ignored_interrupts_untold(), half_done_is_interrupted(interrupt):
            trainer.fit(module, batches, ckpt_path=checkpoint, weights_only=True)
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, ArithmeticError) as error:
        if str(error).startswith("DataLoader worker"):  # of torch, which has no class for it
            raise InputError(
                "data.workers: one of them was killed, perhaps as memory ran out: set fewer, and go on with --resume"
            ) from error
        if trainer.world_size > 1 and ("by peer" in str(error) or isinstance(error, DistBackendError)):
            raise InputError("another process of this training ended, see what it says; go on with --resume") from error
        if checkpoint is None or interrupt is None or interrupt.started:
            raise
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{checkpoint}: its state does not fit this run ({type(error).__name__}: {reason}), resume with the "
            "configuration it was trained with, or train anew without --resume"
        ) from error
    except SystemExit:  # what Lightning makes of Ctrl-C: status 1, without a word
        raise KeyboardInterrupt from None
    if interrupt is not None and interrupt.pressed:  # while the workers ended, where Python ignores it
        raise KeyboardInterrupt


@contextmanager
def half_done_is_interrupted(interrupt: Interrupt | None) -> Iterator[None]:
    """Take an error after Ctrl-C for what it comes of."""
    try:
        yield
    except Exception as error:
        if interrupt is not None and interrupt.pressed:
            raise KeyboardInterrupt from error
        raise


@contextmanager
def ignored_interrupts_untold() -> Iterator[None]:
    """Keep Python from printing a traceback for a Ctrl-C that it ignores in a destructor: it is raised again."""
    former = sys.unraisablehook

    def tell(unraisable: sys.UnraisableHookArgs) -> None:
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):
            former(unraisable)

    sys.unraisablehook = tell
    try:
        yield
    finally:
        sys.unraisablehook = former
