"""Invocations under a function's retry policy: the host's in-memory loop over the same input."""

import asyncio
import random
from collections.abc import Callable

from localcloud.host.app import IndexedFunction
from localcloud.host.decoding import TriggerInput
from localcloud.host.invoker import InvocationFailed, Invoker, RetryContext
from localcloud.host.logs import logger
from localcloud.host.waiting import is_set_within


class RetryingInvoker:
    """For Event Hub and timer triggers only: Service Bus redelivers, and an HTTP client asks again."""

    def __init__(self, invoker: Invoker, chance: Callable[[], float] = random.random) -> None:
        self._invoker = invoker
        self._chance = chance

    async def run(self, function: IndexedFunction, trigger_input: TriggerInput, abandoned: asyncio.Event) -> bool:
        """Whether the input is done with: the function succeeded, or failed as often as it may.

        Once it is `abandoned`, because the host stops or its partition is lost, a failure is not followed by another
        attempt, and the answer is False: the input must come again.
        """
        policy = function.retry_policy
        delays_s = policy.delays_s(self._chance) if policy else iter(())
        context = RetryContext()
        while True:
            try:
                await self._invoker.invoke(function, trigger_input, context)
            except InvocationFailed as failure:
                if abandoned.is_set():
                    return False
                delay_s = next(delays_s, None)
                if policy is None or delay_s is None:
                    return True
                context = RetryContext(context.retry_count + 1, policy.max_retry_count, failure.rpc_exception)
                logger.warning("retry %d follows in %.1f s", context.retry_count, delay_s)
                if await is_set_within(abandoned, delay_s):
                    return False
            else:
                return True
