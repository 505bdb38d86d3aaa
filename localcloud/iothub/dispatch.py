"""The way of messages and notifications to the Event Hubs."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from localcloud.iothub.endpoint import Backlog, EventHubEndpoint
from localcloud.iothub.events import Event, MessageSource, Notification, Operation
from localcloud.iothub.records import Records
from localcloud.iothub.routing import Routing
from localcloud.iothub.twin import Twin
from localcloud.journal import Journal

log = logging.getLogger(__name__)


class Dispatcher:
    """Hands everything to the Event Hubs that want it."""

    def __init__(
        self,
        hub_name: str,
        routing: Routing,
        endpoints: Mapping[str, EventHubEndpoint],
        backlog: Backlog,
        journal: Journal,
        records: Records,
        twin_of: Callable[[str], Twin | None],
    ) -> None:
        self.backlog = backlog
        self._hub_name = hub_name
        self._routing = routing
        self._endpoints = endpoints
        self._journal = journal
        self._records = records
        self._twin_of = twin_of
        self._dropped = 0

    def route(self, event: Event) -> None:
        """A message counts as accepted when all Event Hubs that want it have it."""
        names = self._routing.endpoints(event, self._twin_of(event.device_id))
        if not names:
            if event.source is MessageSource.DEVICE_MESSAGES:
                self._count_dropped(f"no route takes a message of {event.device_id}")
            event.accepted()
            return
        pending = event if len(names) == 1 else event.accepted_after(len(names))
        for name in names:
            self._endpoints[name].put(pending)

    def notify(self, operation: Operation, device_id: str, body: Mapping[str, Any]) -> None:
        """Tells those who have a route for it, once what happened is kept, and even if the hub ends meanwhile.

        Dropped when too much waits already: unlike a device, what happens cannot be asked to wait.
        """
        if not self._routing.is_wanted(operation.source):
            return
        if self.backlog.is_full:
            self._count_dropped(f"the Event Hubs are too far behind for news of {device_id}")
            return
        notification = Notification(operation, device_id, dict(body))
        number = self._records.owe(notification)
        self._journal.when_durable(lambda: self._send(number, notification))

    def resume(self) -> None:
        """Delivers what an earlier hub could not."""
        for number, notification in self._records.owed().items():
            self._send(number, notification)

    def _send(self, number: int, notification: Notification) -> None:
        self.route(notification.event(self._hub_name, lambda: self._records.settle(number)))

    def _count_dropped(self, reason: str) -> None:
        self._dropped += 1
        if self._dropped & (self._dropped - 1) == 0:  # a misconfigured fleet must not fill the log
            log.warning("%s; %d dropped so far", reason, self._dropped)
