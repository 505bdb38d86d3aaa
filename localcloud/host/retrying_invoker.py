"""Invocations under a function's retry policy: the host's in-memory loop over the same input."""

import asyncio
import random
from collections.abc import Callable

from localcloud.host.app import IndexedFunction
from localcloud.host.decoding import TriggerInput
from localcloud.host.invoker import InvocationFailed, Invoker, RetryContext
from localcloud.host.logs import logger


class RetryingInvoker:
    """For Event Hub and timer triggers only: Service Bus redelivers, and an HTTP client asks again."""

    def __init__(self, invoker: Invoker, chance: Callable[[], float] = random.random) -> None:
        self._invoker = invoker
        self._chance = chance
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Ends all waiting for a next attempt."""
        self._stopping.set()

    async def run(self, function: IndexedFunction, trigger_input: TriggerInput) -> bool:
        """Whether the input is done with: the function succeeded, or failed as often as it may.

        False if the host stops in between, so that the input must come again.
        """
        policy = function.retry_policy
        delays_s = policy.delays_s(self._chance) if policy else iter(())
        context = RetryContext()
        while True:
            try:
                await self._invoker.invoke(function, trigger_input, context)
            except InvocationFailed as failure:
                if self._stopping.is_set():
                    return False
                delay_s = next(delays_s, None)
                if policy is None or delay_s is None:
                    return True
                context = RetryContext(context.retry_count + 1, policy.max_retry_count, failure.rpc_exception)
                logger.warning("retry %d follows in %.1f s", context.retry_count, delay_s)
                if await self._stopped_within(delay_s):
                    return False
            else:
                return True

    async def _stopped_within(self, delay_s: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), delay_s)
        except TimeoutError:
            return False
        return True
