"""The nodes of the namespace itself: `$cbs`, where clients bring tokens, and the `$management` of Event Hubs."""

from localcloud.broker.errors import NOT_IMPLEMENTED, AmqpError
from localcloud.broker.namespace import Namespace
from localcloud.broker.requests import Request, Response, StatusNames

_STATUS_NAMES = StatusNames("status-code", "status-description", "error-condition")


class TokenNode:
    """Accepts every token: what listens on loopback only guards nothing."""

    status_names = _STATUS_NAMES

    def handle(self, request: Request) -> Response:
        del request
        return Response(202, "Accepted")


class EventHubsNode:
    """READ of hubs and partitions."""

    status_names = _STATUS_NAMES

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace

    def handle(self, request: Request) -> Response:
        """Raises AmqpError."""
        hub = self._namespace.event_hub(request.property("name"))
        kind = request.property("type")
        if request.property("operation").upper() != "READ":
            raise AmqpError(NOT_IMPLEMENTED, "Event hubs can only be read here.")
        if kind == "com.microsoft:eventhub":
            return Response(200, "OK", hub.properties())
        if kind == "com.microsoft:partition":
            return Response(200, "OK", hub.partition_properties(request.property("partition")))
        raise AmqpError(NOT_IMPLEMENTED, f"There is no READ of {kind}.")
