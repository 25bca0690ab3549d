"""The loop of a search: trials are suggested, run here or in several processes, and told, until there are enough."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from centerx.errors import InputError
from centerx.tuning.space import Space
from centerx.tuning.study import INTERRUPTED, Outcome, Trial, interrupt, read_trials, suggest, tell


class Task(NamedTuple):
    """What a process is to run.

    Attributes:
        id: of the trial in its file.
        trial: that begins.
        place: among those that count, from 1 on.
        most: trials of the search.
    """

    id: int
    trial: Trial
    place: int
    most: int


class Here(Executor):
    """Runs what is submitted at once, in this thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function; its error is raised here and now."""
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


def run_trials(
    study: Any,
    space: Space,
    seed: int,
    most: int,
    run: Callable[[Task], Outcome],
    ended: Callable[[Trial, Outcome], None],
    jobs: int,
    pool: AbstractContextManager[Executor],
) -> None:
    """Run trials until so many have ended. One that runs when this is interrupted is repeated by the next call.

    Args:
        study: of the search; no other process may suggest trials of it.
        space: to suggest from.
        seed: of the suggestions.
        most: trials that are to have ended, those of earlier calls among them.
        run: runs a trial; in other processes than this one it must be possible to pickle it.
        ended: called after each trial.
        jobs: trials at the same time.
        pool: yields what runs them.

    Raises:
        InputError: the first trial failed, or a process was killed.
        KeyboardInterrupt: Ctrl-C.
    """
    interrupt(study)  # those of a process that was killed
    running: dict[Future[Outcome], Any] = {}
    try:
        with pool as executor:
            while True:
                trials = read_trials(study)
                counting = sum(trial.counts for trial in trials)
                while len(running) < jobs and counting + len(running) < most:
                    trial = suggest(study, space, seed)
                    begun = next(each for each in read_trials(study) if each.number == trial.number)
                    task = Task(trial._trial_id, begun, counting + len(running) + 1, most)
                    running[executor.submit(run, task)] = trial
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    end(study, running.pop(future), future.result(), ended)
    finally:
        interrupt(study)


def end(study: Any, trial: Any, outcome: Outcome, ended: Callable[[Trial, Outcome], None]) -> None:
    """Tell the end of a trial.

    Raises:
        InputError: it failed and is the first of the search.
    """
    first = all(each.state == INTERRUPTED for each in read_trials(study) if each.number < trial.number)
    tell(study, trial, outcome)
    if outcome.error and first:
        raise InputError(outcome.error)
    ended(next(each for each in read_trials(study) if each.number == trial.number), outcome)


@contextmanager
def processes(jobs: int, threads: int) -> Iterator[Executor]:
    """Yield what runs trials in processes of this machine, or in this process if it is one.

    Processes end at once when the `with` is left by an error, and when this process is killed: each waits for the end
    of a pipe that nobody else holds.

    Args:
        jobs: processes; 1: this one.
        threads: of each, with several.

    Raises:
        InputError: a process was killed.
    """
    if jobs <= 1:
        yield Here()
        return
    context = multiprocessing.get_context("spawn")
    there, here = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(
        jobs, context, _start, (there, threads, multiprocessing.get_start_method(allow_none=True))
    )
    try:
        with interrupts_held():  # by the new processes as well, which begin by loading modules
            for _ in range(jobs):  # each begins one
                pool.submit(int)
        yield pool
    except BrokenProcessPool:
        here.close()
        raise InputError(
            "--jobs: a process of a trial was killed, as the system does when memory runs out; the same command goes "
            "on, with fewer --jobs"
        ) from None
    except BaseException:
        here.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        here.close()


def _start(end: Connection, threads: int, workers: str | None) -> None:
    """Prepare a process for trials: it leaves Ctrl-C to the first one, and ends with that.

    Its data workers start as those of the first one do, which is quicker where they need not load torch anew.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    multiprocessing.set_start_method(workers, force=True)
    os.environ["OMP_NUM_THREADS"] = str(threads)  # torch is not loaded yet
    threading.Thread(target=_end_with, args=(end,), daemon=True).start()


def _end_with(end: Connection) -> None:
    end.poll(None)
    try:
        for worker in multiprocessing.active_children():
            worker.kill()
    finally:
        os._exit(1)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back; processes that are started meanwhile hold it back until they let it through."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which lets Ctrl-C through as it starts
    former = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)
