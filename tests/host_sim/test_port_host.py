"""The adapters of a laptop: what linnet.port asks of a clock and of a network."""

import asyncio

import pytest
from host_sim.port_host import HostClock, HostNet
from linnet.errors import Refused


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


@pytest.mark.asyncio
@pytest.mark.parametrize("host", ["a..b", "a" * 64, ".a"])
async def test_a_name_that_python_cannot_write_is_a_name_without_address(host):
    with pytest.raises(Refused) as raised:
        await HostNet().stream_open(host, 9, False, 2000)
    assert raised.value.code == "name-not-resolved"
