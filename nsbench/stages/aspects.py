"""The aspects of a process's state that components share: Python's, NumPy's, torch's, Numba's and SciPy's settings.

No library is imported to look at it. What a library is like right after its import is known for those that a job may
import; what of it depends on the machine counts from when it is first seen.
"""

from __future__ import annotations

import decimal
import locale
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from ctypes import string_at
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

LONGEST = 200
"""The most characters in which a change is told."""

UNKNOWN: Any = object()
"""The value of what has not been seen."""


@dataclass(frozen=True)
class Aspect:
    """One aspect of the state.

    read     returns its value, which compares by ==.
    restore  puts a value back; None where that cannot be done.
    library  the module that must be loaded for it, "" for none.
    fresh    its value right after the library was imported; a function where it must be asked; unknown if not given.
    tell     the change in words, of (before, after); "" for one that is no component's.
    numbers  it can change numbers, so that it is looked at after every stage, else only when the job ends.
    """

    name: str
    read: Callable[[], Any]
    restore: Callable[[Any], object] | None = None
    library: str = ""
    fresh: Any = UNKNOWN
    tell: Callable[[Any, Any], str] = lambda before, after: f"{before} -> {after}"
    numbers: bool = True

    def value(self) -> Any:
        """The value now. Some settings refuse to be read where they contradict each other, which is a value too."""
        try:
            return self.read()
        except Exception as error:
            return f"unreadable ({type(error).__name__})"

    def put_back(self, value: Any) -> bool:
        """Put a value back; returns whether it is there."""
        if self.restore is not None:
            with suppress(Exception):  # what is there now tells
                self.restore(value)
        return bool(self.value() == value)

    def change(self, before: Any, after: Any) -> str:
        """A change in words, in a line; "" for one that is no component's."""
        words = self.tell(before, after)
        line = " ".join(f"{self.name}: {words}".split()) if words else ""
        return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _renewed(before: Any, after: Any) -> str:
    return "the global generator was used"


# Python


_HARMLESS = (b"KMP_DUPLICATE_LIB_OK", b"KMP_INIT_AT_FORK", b"TORCHINDUCTOR_CACHE_DIR", b"PYTEST_CURRENT_TEST")
"""Variables that scikit-learn, torch and pytest set, and that change no number."""


def _environment() -> dict[bytes, bytes]:
    # The copy of the mapping's own dict costs a hundredth of one through its interface, which decodes every name.
    variables = dict(os.environ._data)  # type: ignore[attr-defined]
    for name in _HARMLESS:
        variables.pop(name, None)
    return variables


def _set_environment(wanted: dict[bytes, bytes]) -> None:
    for name in set(os.environb) - set(wanted) - set(_HARMLESS):
        del os.environb[name]
    os.environb.update(wanted)


def _tell_environment(before: Mapping[bytes, bytes], after: Mapping[bytes, bytes]) -> str:
    def shown(value: bytes | None) -> str:
        return "not set" if value is None else repr(os.fsdecode(value))

    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return ", ".join(f"{os.fsdecode(name)} {shown(before.get(name))} -> {shown(after.get(name))}" for name in names)


def _folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "(removed)"


def _set_folder(folder: str) -> None:
    if os.path.isdir(folder):
        os.chdir(folder)


def _umask() -> int:
    try:
        with open("/proc/self/status", encoding="utf-8") as file:
            return next(int(line.split()[1], 8) for line in file if line.startswith("Umask:"))
    except (OSError, StopIteration):
        mask = os.umask(0o077)  # it can only be read by setting it
        os.umask(mask)
        return mask


_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGALRM", "SIGCHLD", "SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGFPE")


def _random() -> tuple[Any, bool]:
    return random.getstate(), "rich.style" in sys.modules


def _set_random(wanted: tuple[Any, bool]) -> None:
    random.setstate(wanted[0])


def _tell_random(before: tuple[Any, bool], after: tuple[Any, bool]) -> str:
    """The change in words; none where rich was imported meanwhile, as by POT: its import draws a number."""
    return _renewed(before, after) if before[1] == after[1] else ""


def _handlers() -> dict[str, Any]:
    return {name: signal.getsignal(getattr(signal, name)) for name in _SIGNALS}


def _set_handlers(wanted: dict[str, Any]) -> None:
    for name, handler in wanted.items():
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(getattr(signal, name), handler)


def _tell_handlers(before: dict[str, Any], after: dict[str, Any]) -> str:
    return f"{', '.join(name for name in before if before[name] != after[name])} handled otherwise"


def _set_path(wanted: list[str]) -> None:
    sys.path[:] = wanted


def _tell_path(before: list[str], after: list[str]) -> str:
    more, less = ([e for e in a if e not in b] for a, b in ((after, before), (before, after)))
    words = [f"+ {entry}" for entry in more] + [f"- {entry}" for entry in less]
    return ", ".join(words) or "in another order"


def _errors() -> list[Any]:
    """The filters that turn warnings into errors; the others decide only what is printed."""
    return [entry for entry in warnings.filters if entry[0] == "error"]


def _set_errors(wanted: list[Any]) -> None:
    others = [entry for entry in warnings.filters if entry[0] != "error"]
    warnings.resetwarnings()
    warnings.filters[:] = [*wanted, *others]  # type: ignore[index]


def _decimal() -> dict[str, Any]:
    context = decimal.getcontext()
    return {name: getattr(context, name) for name in ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")}


def _set_decimal(wanted: dict[str, Any]) -> None:
    for name, value in wanted.items():
        setattr(decimal.getcontext(), name, value)


def _tell_settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {before[name]} -> {after.get(name)}" for name in before if before[name] != after.get(name)
    )


_PYTHON = (
    Aspect("random", _random, _set_random, tell=_tell_random),
    Aspect("os.environ", _environment, _set_environment, tell=_tell_environment),
    Aspect("working directory", _folder, _set_folder),
    Aspect("umask", _umask, os.umask, tell=lambda before, after: f"{before:03o} -> {after:03o}", numbers=False),
    Aspect("warnings", _errors, _set_errors, tell=lambda before, after: "others than before are errors"),
    Aspect("locale", lambda: locale.setlocale(locale.LC_ALL), lambda name: locale.setlocale(locale.LC_ALL, name)),
    Aspect("signals", _handlers, _set_handlers, tell=_tell_handlers, numbers=False),
    Aspect("sys.path", lambda: list(sys.path), _set_path, tell=_tell_path),
    Aspect("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    Aspect("decimal", _decimal, _set_decimal, tell=_tell_settings),
)


# NumPy and SciPy


def _numpy_generator() -> Any:
    """(generator, bytes of its state): to copy the state through NumPy takes a hundred times as long."""
    generator = np.random.mtrand.get_bit_generator()
    if isinstance(generator, np.random.MT19937):
        return generator, string_at(generator.ctypes.state_address, 625 * 4)
    return generator, repr(generator.state)


def _set_numpy_generator(wanted: tuple[Any, Any]) -> None:
    generator, state = wanted
    np.random.mtrand.set_bit_generator(generator)
    if isinstance(state, bytes):
        words = np.frombuffer(state, np.uint32)
        np.random.set_state(("MT19937", words[:624], int(words[624]), 0, 0.0))  # noqa: NPY002 - nobody else should


def _print_options() -> dict[str, Any]:
    return dict(np.get_printoptions())


_NUMPY = (
    Aspect("numpy.random", _numpy_generator, _set_numpy_generator, tell=_renewed),
    Aspect("numpy.seterr", np.geterr, lambda wanted: np.seterr(**wanted), tell=_tell_settings),
    Aspect(
        "numpy.printoptions", _print_options, lambda w: np.set_printoptions(**w), tell=_tell_settings, numbers=False
    ),
    Aspect("scipy.fft workers", lambda: sys.modules["scipy.fft"].get_workers(), None, "scipy.fft", 1),
)


# torch


def _torch(path: str = "") -> Any:
    """torch, or what a path of attributes leads to in it; None where this version has no such thing."""
    found: Any = sys.modules["torch"]
    for name in path.split(".") if path else ():
        found = getattr(found, name, None)
    return found


def _flag(path: str, fresh: Any) -> Aspect:
    """An attribute of torch's that is read and set."""
    owner, _, name = path.rpartition(".")

    def restore(value: Any) -> None:
        if value is not None:
            setattr(_torch(owner), name, value)

    return Aspect(f"torch.{path}", lambda: getattr(_torch(owner), name, None), restore, "torch", fresh)


def _legacy(path: str, fresh: Any) -> Aspect:
    """A flag of versions before `fp32_precision`, 2.9: later ones refuse to read it where the two contradict."""
    owner, flag = path.rpartition(".")[0], _flag(path, fresh)
    return replace(flag, read=lambda: fresh if hasattr(_torch(owner), "fp32_precision") else flag.read())


def _setting(name: str, get: str, put: str, fresh: Any = UNKNOWN) -> Aspect:
    """A setting of torch's with a function to read it and one to set it."""
    return Aspect(f"torch.{name}", lambda: _torch(get)(), lambda value: _torch(put)(value), "torch", fresh)


def _torch_generator() -> bytes:
    return bytes(_torch().get_rng_state().numpy().tobytes())


def _fresh_torch_generator() -> bytes:
    """The state of torch's generator right after it was seeded, which torch does with the clock when it is imported."""
    torch = _torch()
    return bytes(torch.Generator().manual_seed(torch.initial_seed()).get_state().numpy().tobytes())


def _set_torch_generator(state: bytes) -> None:
    torch = _torch()
    torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))


def _deterministic() -> tuple[bool, bool]:
    torch = _torch()
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _set_deterministic(wanted: tuple[bool, bool]) -> None:
    _torch().use_deterministic_algorithms(wanted[0], warn_only=wanted[1])


def _flushes() -> bool:
    """Whether numbers too small to be normal are taken for 0, which is a switch of the processor's."""
    return sys.float_info.min / 2 == 0.0


def _set_flushes(wanted: bool) -> None:
    if "torch" in sys.modules:
        _torch().set_flush_denormal(wanted)


_TORCH = (
    Aspect("torch.random", _torch_generator, _set_torch_generator, "torch", _fresh_torch_generator, _renewed),
    _setting("default_dtype", "get_default_dtype", "set_default_dtype", lambda: _torch("float32")),
    Aspect(
        "torch.default_device",
        lambda: str(_torch().get_default_device()),
        lambda name: _torch().set_default_device(None if name == "cpu" else name),
        "torch",
        "cpu",
    ),
    _setting("float32_matmul_precision", "get_float32_matmul_precision", "set_float32_matmul_precision", "highest"),
    *(
        _flag(f"backends.{part}.fp32_precision", UNKNOWN)
        for part in ("cuda.matmul", "cudnn.conv", "cudnn.rnn", "mkldnn.matmul", "mkldnn.conv", "mkldnn.rnn")
    ),
    _legacy("backends.cuda.matmul.allow_tf32", False),
    _legacy("backends.cudnn.allow_tf32", True),
    _flag("backends.cuda.matmul.allow_fp16_reduced_precision_reduction", True),
    _flag("backends.cuda.matmul.allow_bf16_reduced_precision_reduction", True),
    _flag("backends.cudnn.enabled", True),
    _flag("backends.cudnn.benchmark", False),
    _flag("backends.cudnn.deterministic", False),
    _flag("backends.mkldnn.enabled", True),
    Aspect("torch.deterministic_algorithms", _deterministic, _set_deterministic, "torch", (False, False)),
    _setting("grad_enabled", "is_grad_enabled", "set_grad_enabled", True),
    Aspect("torch.inference_mode", lambda: _torch().is_inference_mode_enabled(), None, "torch", False),
    _setting("anomaly_enabled", "is_anomaly_enabled", "autograd.set_detect_anomaly", False),
    _setting("num_threads", "get_num_threads", "set_num_threads"),
    Aspect("torch.num_interop_threads", lambda: _torch().get_num_interop_threads(), None, "torch"),
)

ASPECTS: tuple[Aspect, ...] = (
    *_PYTHON,
    *_NUMPY,
    *_TORCH,
    Aspect("denormal numbers are 0", _flushes, _set_flushes),
    Aspect(
        "numba threads",
        lambda: sys.modules["numba"].get_num_threads(),
        lambda count: sys.modules["numba"].set_num_threads(count),
        "numba",
    ),
)
"""All aspects: those that set others first, and Numba's last, since asking for it may start OpenMP's threads, which are
torch's too."""
