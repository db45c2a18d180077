"""How many threads the libraries beneath the engine may use."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock

from threadpoolctl import ThreadpoolController

__all__ = ["one_thread_each"]


class _Holders:
    """Those who hold the process's libraries to one thread: the first sets it, the last puts it back."""

    def __init__(self) -> None:
        self.lock, self.count, self.before = Lock(), 0, ExitStack()
        self.found: ThreadpoolController | None = None
        self.modules = 0

    def enter(self) -> None:
        with self.lock:
            if not self.count:
                self.before.enter_context(self._libraries().limit(limits=1))
            torch = sys.modules.get("torch")
            # Once more for each holder: torch may have been loaded since the first came.
            if torch is not None and torch.get_num_threads() != 1:
                self.before.callback(torch.set_num_threads, torch.get_num_threads())
                torch.set_num_threads(1)
            self.count += 1

    def _libraries(self) -> ThreadpoolController:
        # Looking for the process's libraries takes a millisecond; a new one comes with a new module.
        if self.found is None or self.modules != len(sys.modules):
            self.found, self.modules = ThreadpoolController(), len(sys.modules)
        return self.found

    def leave(self) -> None:
        with self.lock:
            self.count -= 1
            if not self.count:
                self.before.close()


# As the setting is the whole process's, so is the count of those who hold it.
_HOLDERS = _Holders()


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let every single call of the BLAS libraries, and of torch if it is loaded, keep to one thread.

    The engine's products are small and many: libraries that divide each of them among the machine's
    threads spend more time waiting than computing. The setting is the process's, and is put back when the
    last of those who hold it leaves.
    """
    _HOLDERS.enter()
    try:
        yield
    finally:
        _HOLDERS.leave()
