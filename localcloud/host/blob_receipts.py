"""Receipts in the host's storage: that a version of a blob was handed on to a function, once and for all hosts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob.aio import BlobClient, BlobLeaseClient, ContainerClient

_INCOMPLETE = {"Incomplete": "Incomplete"}
_LEASE_S = 30
_CONFLICT = 409


class BlobReceipts:
    """`blobreceipts/{host id}/{function id}/{ETag}/{container}/{blob}` in the host's container (BlobReceiptManager).

    Whoever deletes a receipt makes the function fire again.
    """

    def __init__(self, container: ContainerClient, host_id: str) -> None:
        self._container = container
        self._host_id = host_id

    @asynccontextmanager
    async def claimed(self, function_id: str, etag: str, container: str, blob: str) -> AsyncIterator[bool | None]:
        """True if the block is to hand the blob on, after which the receipt is complete; False if that was done before;
        None if another host is at it.
        """
        receipt = self._container.get_blob_client(
            f"blobreceipts/{self._host_id}/{function_id}/{etag}/{container}/{blob}"
        )
        if await _is_complete(receipt):
            yield False
            return
        lease = await _leased(receipt)
        if lease is None:
            yield None
            return
        try:
            if await _is_complete(receipt):
                yield False
                return
            yield True
            await receipt.set_blob_metadata({}, lease=lease)
        finally:
            await lease.release()


async def _is_complete(receipt: BlobClient) -> bool:
    """Made incomplete if there is none yet."""
    try:
        metadata = (await receipt.get_blob_properties()).metadata
    except ResourceNotFoundError:
        with suppress(ResourceExistsError):  # another host was faster: the lease decides
            await receipt.upload_blob(b"", metadata=_INCOMPLETE)
        return False
    return not any(name.lower() == "incomplete" for name in metadata)


async def _leased(receipt: BlobClient) -> BlobLeaseClient | None:
    try:
        return await receipt.acquire_lease(_LEASE_S)
    except HttpResponseError as error:
        if error.status_code == _CONFLICT:
            return None
        raise
