"""Items that travel together: each gets its own answer, and nobody waits for ever."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.merchants import post as post_module
from harambee.merchants.post import (
    BATCH_BYTES_MAX,
    BATCH_ITEMS_MAX,
    Post,
    PostError,
    join_items,
    split_items,
)


@given(st.lists(st.binary(max_size=40), max_size=40))
def test_items_come_out_as_they_went_in(items):
    assert split_items(join_items(items)) == items


@given(st.binary(max_size=200))
def test_any_bytes_are_items_or_refused(batch):
    try:
        items = split_items(batch)
    except ValueError:
        return
    assert join_items(items) == batch


def test_a_batch_of_more_items_than_anybody_sends_is_refused():
    assert len(split_items(join_items([b""] * BATCH_ITEMS_MAX))) == BATCH_ITEMS_MAX
    with pytest.raises(ValueError, match="at most"):
        split_items(join_items([b""] * (BATCH_ITEMS_MAX + 1)))


def test_what_is_said_meanwhile_goes_together_and_each_has_its_answer():
    async def main():
        batches = []

        async def carry(peer, batch):
            items = split_items(batch)
            batches.append(len(items))
            await asyncio.sleep(0)
            return bytes(item[0] for item in items)

        post = Post(carry)
        items = [bytes([i % 251]) * 100 for i in range(2_000)]
        answers = await asyncio.gather(*(post.bring(1, item) for item in items))
        assert answers == [item[0] for item in items]
        assert max(batches) <= BATCH_ITEMS_MAX
        assert len(batches) < 10
        large = [b"x" * (BATCH_BYTES_MAX // 2)] * 3
        await asyncio.gather(*(post.bring(1, item) for item in large))
        assert batches[-3:] == [1, 1, 1]
        await post.stop()

    asyncio.run(main())


@pytest.mark.parametrize("answer", [b"", b"\1\1\1", PostError("down"), ZeroDivisionError()])
def test_whoever_waits_hears_of_a_failure_and_the_next_goes_on(answer):
    async def main():
        told = [answer]

        async def carry(peer, batch):
            if told:
                first = told.pop()
                if isinstance(first, Exception):
                    raise first
                return first
            return b"\1" * len(split_items(batch))

        post = Post(carry)
        first = asyncio.create_task(post.bring(1, b"a"))
        await asyncio.sleep(0)
        with pytest.raises(PostError):
            await first
        assert await post.bring(1, b"b") == 1
        await post.stop()

    asyncio.run(main())


def test_too_much_is_refused_and_what_nobody_waits_for_is_not_sent(monkeypatch):
    monkeypatch.setattr(post_module, "WAITING_MAX", 4)

    async def main():
        go, sent = asyncio.Event(), []

        async def carry(peer, batch):
            await go.wait()
            sent.extend(split_items(batch))
            return b"\1" * len(split_items(batch))

        post = Post(carry)
        first = asyncio.create_task(post.bring(1, b"first"))
        await asyncio.sleep(0.01)
        others = [asyncio.create_task(post.bring(1, b"%d" % i)) for i in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(PostError, match="too much"):
            await post.bring(1, b"beyond")
        others[0].cancel()
        go.set()
        assert await asyncio.gather(first, *others[1:]) == [1, 1, 1, 1]
        assert sent == [b"first", b"1", b"2", b"3"]
        await post.stop()

    asyncio.run(main())


def test_stopping_tells_everybody_who_waits_and_takes_nothing_more():
    async def main():
        async def carry(peer, batch):
            await asyncio.Event().wait()

        post = Post(carry)
        waits = [asyncio.create_task(post.bring(peer, b"x")) for peer in (1, 1, 2)]
        await asyncio.sleep(0.01)
        waits.append(asyncio.create_task(post.bring(1, b"queued")))
        await asyncio.sleep(0)
        await post.stop()
        results = await asyncio.gather(*waits, return_exceptions=True)
        assert all(isinstance(result, PostError) for result in results)
        with pytest.raises(PostError):
            await post.bring(3, b"later")

    asyncio.run(main())
