"""Libraries are held to one thread while the engine works, whoever else works at the same time."""

from threading import Barrier, Thread

from threadpoolctl import threadpool_info, threadpool_limits

from ohmweave.simulate.threads import one_thread_each


def threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_libraries_keep_to_one_thread_and_get_the_others_back() -> None:
    with threadpool_limits(limits=2):
        before = threads()
        with one_thread_each():
            assert threads() == {1}
            with one_thread_each():
                assert threads() == {1}
            assert threads() == {1}
        assert threads() == before


def test_the_last_of_several_holders_gives_them_back() -> None:
    meet = Barrier(2)

    def hold(first: bool) -> None:
        if not first:
            meet.wait()
        with one_thread_each():
            if first:
                meet.wait()
            meet.wait()

    with threadpool_limits(limits=2):
        before = threads()
        pair = [Thread(target=hold, args=(first,)) for first in (True, False)]
        for one in pair:
            one.start()
        for one in pair:
            one.join()
        assert threads() == before
