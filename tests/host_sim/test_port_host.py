"""The adapters of a laptop: what linnet.port asks of a clock."""

import asyncio

import pytest
from host_sim.port_host import HostClock


@pytest.mark.asyncio
async def test_a_cancellation_that_meets_the_end_of_the_wait_is_not_lost():
    """asyncio.wait_for of Python 3.11 returns the result instead, and a loop that was told to stop goes on."""
    ready = asyncio.Event()

    async def loop_forever():
        while True:
            await HostClock().wait_for_ms(ready.wait(), 1000)
            await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=5)

    task = asyncio.create_task(loop_forever())
    for _ in range(3):
        await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0)
    ready.set()
    await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 2)


@pytest.mark.asyncio
async def test_a_wait_ends_with_the_timeout_that_the_contract_names():
    with pytest.raises(asyncio.TimeoutError):
        await HostClock().wait_for_ms(asyncio.Event().wait(), 10)
