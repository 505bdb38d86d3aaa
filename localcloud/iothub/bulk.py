"""Many identities in one request.

Source: "Bulk Registry - Update Registry" of the IoT Hub service REST API.
"""

from typing import Any, Final

import msgspec

from localcloud.errors import Conflict, Rejected
from localcloud.iothub.hub import Hub
from localcloud.iothub.rest_errors import answer_of
from localcloud.iothub.twin import Document

MAX_DEVICES: Final = 100


class Operation(msgspec.Struct, rename="camel", frozen=True):
    """What shall become of one device."""

    id: str
    import_mode: str
    e_tag: str | None = None
    status: str | None = None
    status_reason: str | None = None
    authentication: Any = None
    twin_e_tag: str | None = msgspec.field(default=None, name="twinETag")
    tags: Any = None
    properties: Any = None

    @property
    def identity(self) -> Document:
        identity: Document = {"deviceId": self.id, "statusReason": self.status_reason}
        if self.status is not None:
            identity["status"] = self.status
        if self.authentication is not None:
            identity["authentication"] = self.authentication
        return identity

    @property
    def twin(self) -> Document:
        return {"tags": self.tags, "properties": self.properties}


def parse_operations(data: bytes) -> list[Operation]:
    """Raises `Rejected` for what the service would not take at all."""
    try:
        operations = msgspec.json.decode(data, type=list[Operation])
    except (ValueError, RecursionError) as error:
        raise Rejected("bad-bulk", f"this is no list of registry operations: {error}") from error
    if len(operations) > MAX_DEVICES:
        raise Rejected("bad-bulk", f"there are at most {MAX_DEVICES} devices in a request")
    if len({operation.id for operation in operations}) < len(operations):
        raise Rejected("bad-bulk", "a device can be named only once")
    return operations


def carry_out(hub: Hub, operations: list[Operation]) -> Document:
    """The result as the API shows it: what goes wrong with one device is no other's business."""
    errors: list[Document] = []
    for operation in operations:
        try:
            _carry_out(hub, operation)
        except (Conflict, Rejected) as error:
            answer = answer_of(error)
            assert answer is not None, "both are errors that the API knows"
            errors.append({"deviceId": operation.id, "errorCode": answer.code, "errorStatus": str(error)})
    return {"isSuccessful": not errors, "errors": errors, "warnings": []}


def _carry_out(hub: Hub, operation: Operation) -> None:
    device_id = operation.id
    mode = operation.import_mode[:1].lower() + operation.import_mode[1:]  # the Node SDK begins it with a capital
    match mode:
        case "create":
            hub.put_device(device_id, operation.identity, None)
            _set_twin(hub, operation)
        case "createOrUpdate" | "createOrUpdateIfMatchETag":
            e_tag = "*" if mode == "createOrUpdate" else _required(operation.e_tag)
            is_known = hub.registry.find(device_id) is not None
            hub.put_device(device_id, operation.identity, e_tag if is_known else None)
        case "update":
            hub.put_device(device_id, operation.identity, "*")
        case "updateIfMatchETag":
            hub.put_device(device_id, operation.identity, _required(operation.e_tag))
        case "delete":
            hub.delete_device(device_id, None)
        case "deleteIfMatchETag":
            hub.delete_device(device_id, _required(operation.e_tag))
        case "updateTwin":
            hub.change_twin(device_id, operation.twin, None, replace=False)
        case "updateTwinIfMatchETag":
            hub.change_twin(device_id, operation.twin, _required(operation.twin_e_tag), replace=False)
        case _:
            raise Rejected("bad-import-mode", f"the import mode {mode!r} is unknown")


def _set_twin(hub: Hub, operation: Operation) -> None:
    """A new device can come with its twin; a twin that cannot be takes the device with it."""
    if operation.tags is None and operation.properties is None:
        return
    try:
        hub.change_twin(operation.id, operation.twin, None, replace=False)
    except Rejected:
        hub.delete_device(operation.id, None)
        raise


def _required(e_tag: str | None) -> str:
    if e_tag is None:
        raise Rejected("no-etag", "this import mode needs an etag")
    return e_tag
