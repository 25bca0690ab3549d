"""Trials on the machines of a Ray cluster, in the place of processes of this one.

The study stays here: suggestions are those of `run_trials`, and a trial asks a Ray actor on this machine whether it is
to end early, so that no other machine opens the study's SQLite file.
"""

from __future__ import annotations

import logging
import os
import platform
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from centerx.errors import InputError
from centerx.show import import_optional
from centerx.tuning.study import StudyFile

AUTO = "auto"  # the address of the cluster that this machine belongs to
LOCAL = "local"  # of a cluster of this machine alone, which ends with the search
PATIENCE = 5.0  # seconds in which a cluster has to answer
START = 120.0  # seconds in which a process of this machine has to start
ADDRESS = "RAY_ADDRESS"  # where `auto` looks first
SILENCE = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is reported to Ray's makers
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # keeps a warning off the terminal
}

# In what a task raises where the cluster is at fault, not this package.
LOST = "Failed to look up actor", "No module named", "ray.exceptions."

logger = logging.getLogger(__name__)


class Share(NamedTuple):
    """What a trial gets of the machine that it runs on.

    Attributes:
        cpus: processors, and with them threads.
        gpus: 0 or 1.
    """

    cpus: int
    gpus: int


class StudyThere(NamedTuple):
    """The study of a search as a trial on another machine sees it.

    Attributes:
        actor: name of the Ray actor that has it.
    """

    actor: str

    def ends(self, trial_id: int, epoch: int, AP: float) -> bool:
        """Note an evaluation of a trial; return whether the pruner ends it."""
        import ray

        return bool(ray.get(ray.get_actor(self.actor).ends.remote(trial_id, epoch, AP)))


class Cluster:
    """A Ray cluster that runs trials.

    Args:
        address: `auto`, the cluster that this machine belongs to; host:port; or `local`.
        file: of the study, in a folder that all machines see at the same path.
        jobs: trials that are trained at the same time.
        on_cpu: whether trials leave GPUs alone.
        needed: files and folders that trials read, which all machines must see at the same paths.
    """

    def __init__(self, address: str, file: StudyFile, jobs: int, on_cpu: bool, needed: Sequence[Path] = ()) -> None:
        self.address, self.jobs, self.on_cpu = address, jobs, on_cpu
        self.file = file._replace(path=file.path.resolve())
        # The study, as another machine may have a folder of its own at the path of the search
        self.needed = [self.file.path, Path.cwd(), *(path.resolve() for path in needed)]
        self.study = StudyThere(f"centerx-{uuid4().hex}")

    @contextmanager
    def connect(self) -> Iterator[Executor]:
        """Yield what runs trials; those that run are ended with the `with`.

        Raises:
            InputError: there is no such cluster, or a machine that runs a trial was lost.
            ModuleNotFoundError: without the extra `centerx[cluster]`.
        """
        ray = import_optional("ray", "cluster")
        with kept_signals():
            connect(ray, self.address)
        try:
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            share = fair_share(nodes, self.jobs, self.on_cpu)
            logger.info(
                f"cluster: {len(nodes)} machine(s); {self.jobs} trial(s) at once, each with {share.cpus} core(s) and "
                f"{share.gpus} GPU(s); one that the cluster has no room for waits"
            )
            here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
                ray.get_runtime_context().get_node_id(), soft=False
            )
            actor = ray.remote(StudyHere).options(name=self.study.actor, num_cpus=0, scheduling_strategy=here)
            keeper = actor.remote(self.file)
            ray.get(keeper.ready.remote(), timeout=START)
            with Tasks(ray, share, self.needed) as tasks:
                yield tasks
        except ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, InputError | MemoryError | OSError):
                raise cause from None
            if isinstance(error, ray.exceptions.RayTaskError) and not any(words in str(error) for words in LOST):
                raise  # our own fault, told with the traceback of the other process
            raise InputError(f"--cluster: {reason_of(error)}; the same command goes on") from None
        finally:
            with kept_signals():
                ray.shutdown()


class StudyHere:
    """The study of a search, for trials on other machines; a Ray actor.

    Args:
        file: of the study.
    """

    def __init__(self, file: StudyFile) -> None:
        self.file = file

    def ready(self) -> None:
        """Return once the actor is there."""

    def ends(self, trial_id: int, epoch: int, AP: float) -> bool:
        """Note an evaluation of a trial; return whether the pruner ends it."""
        return self.file.ends(trial_id, epoch, AP)


class Tasks(Executor):
    """Runs what is submitted as tasks of a Ray cluster; those that still run are cancelled when it is left.

    Args:
        ray: the package.
        share: of each.
        needed: files and folders that every machine must see at these paths.
    """

    def __init__(self, ray: Any, share: Share, needed: Sequence[Path]) -> None:
        self.ray = ray
        self.needed = needed
        self.remote = ray.remote(run_there).options(num_cpus=share.cpus, num_gpus=share.gpus, max_retries=0)
        self.running: list[Any] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function on some machine of the cluster."""
        reference = self.remote.remote(Path.cwd(), self.needed, own_version(), fn, args, kwargs)
        self.running.append(reference)
        future: Future[Any] = reference.future()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End what still runs."""
        _, left = self.ray.wait(self.running, num_returns=len(self.running), timeout=0) if self.running else ([], [])
        for reference in left:
            self.ray.cancel(reference, force=True)


def run_there(
    folder: Path,
    needed: Sequence[Path],
    ours: str,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Call a function in the folder of the process that asks for it; runs on a machine of the cluster.

    Args:
        folder: to run in, from which paths are counted.
        needed: files and folders that must be there.
        ours: version of this package that must be there.
        fn: the function.
        args: of the call.
        kwargs: of the call.

    Raises:
        InputError: the machine does not see the files of the search, or has another version of this package.
    """
    name = platform.node()
    missing = next((path for path in needed if not path.exists()), None)
    if missing is not None:
        raise InputError(
            f"--cluster: machine {name} does not see {missing}; keep data and the search where all machines see them"
        )
    if (theirs := own_version()) != ours:
        raise InputError(f"--cluster: machine {name} has centerx {theirs}, this one {ours}; install the same version")
    os.chdir(folder)
    return fn(*args, **kwargs)


def own_version() -> str:
    """Return the version of this package, installed or not."""
    return str(sys.modules["centerx"].__version__)


def reason_of(error: Exception) -> str:
    """Return one line on what went wrong with a machine, and what to do where that is known."""
    text = str(error)
    if "ModuleNotFoundError" in text or "No module named" in text:
        module = text.rpartition("No module named")[2].strip().splitlines()[0]
        return f"a machine has no package {module}; install the same version of centerX there, with the extra cluster"
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    return f"a process or machine of a trial was lost ({type(error).__name__}: {lines[-1][:120]})"


def require_address(address: str) -> None:
    """Check where a cluster is said to be; Ray itself would try for minutes.

    Raises:
        InputError: that is no address, or nobody answers there.
    """
    if address == AUTO:
        address = os.environ.get(ADDRESS) or AUTO
    if address in (AUTO, LOCAL):
        return
    host, _, port = address.rpartition(":")
    if address.startswith("ray://"):
        raise InputError(f"--cluster: {address} is the address of a client; run the search on a machine of the cluster")
    if not host or not port.isdecimal() or not port.isascii() or int(port) > 65535:
        raise InputError(f"--cluster: {address!r} is neither {AUTO}, {LOCAL} nor HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"--cluster: nobody answers at {address} ({reason}); `ray start --head` tells the address"
        ) from None


def connect(ray: Any, address: str) -> None:
    """Connect to a cluster, or start one of this machine.

    Raises:
        InputError: there is none, or this process is connected to one already.
        KeyboardInterrupt: SIGTERM, which Ray answers by SystemExit.
    """
    if ray.is_initialized():
        raise InputError("--cluster: this process is connected to Ray already, call ray.shutdown() before the search")
    for key, value in SILENCE.items():
        os.environ.setdefault(key, value)
    own = {"include_dashboard": False} if address == LOCAL else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL, **own)
    except SystemExit:
        raise KeyboardInterrupt from None
    except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"--cluster: no Ray cluster by {address!r} ({reason}); start one with `ray start --head`, or give local"
        ) from None


def fair_share(nodes: list[dict[str, float]], jobs: int, on_cpu: bool) -> Share:
    """Return the most that each of so many trials can have at once; if there is no room for all, a core.

    Args:
        nodes: `CPU` and `GPU` of each machine.
        jobs: trials at the same time.
        on_cpu: whether GPUs are left alone.

    Raises:
        InputError: no machine has what a single trial needs.
    """
    machines = [(int(node.get("CPU", 0)), int(node.get("GPU", 0))) for node in nodes]
    gpus = 0 if on_cpu or not any(gpu for _, gpu in machines) else 1
    for cpus in range(max(cpu for cpu, _ in machines), 0, -1):
        room = sum(min(cpu // cpus, gpu) if gpus else cpu // cpus for cpu, gpu in machines)
        if room >= jobs or (cpus == 1 and room):
            return Share(cpus, gpus)
    raise InputError(f"--cluster: no machine has a core{' and a GPU' if gpus else ''} to train with")


@contextmanager
def kept_signals() -> Iterator[None]:
    """Have Ray, which answers SIGTERM in its own way, leave the answers of this process as they are."""
    taken = threading.current_thread() is threading.main_thread()
    former = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT) if taken}
    try:
        yield
    finally:
        for number, answer in former.items():
            if answer is not None:  # one that Python did not set
                signal.signal(number, answer)
