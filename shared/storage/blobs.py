"""Azure Blob Storage: documents by name, and links that let a car download one without an account."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from shared import connections
from shared.errors import Unavailable


async def put(container: str, name: str, body: bytes, *, content_type: str = "application/octet-stream") -> None:
    """Stores the blob, replacing what was there. Raises `Unavailable`."""
    from azure.storage.blob import ContentSettings

    with _errors():
        await (
            connections.blobs()
            .get_blob_client(container, name)
            .upload_blob(body, overwrite=True, content_settings=ContentSettings(content_type=content_type))
        )


async def get(container: str, name: str) -> bytes | None:
    """The blob's content, or None. Raises `Unavailable`."""
    from azure.core.exceptions import ResourceNotFoundError

    with _errors():
        try:
            download = await connections.blobs().get_blob_client(container, name).download_blob()
            return await download.readall()
        except ResourceNotFoundError:
            return None


async def size(container: str, name: str) -> int | None:
    """The blob's size in bytes without reading it, or None if there is none. Raises `Unavailable`."""
    from azure.core.exceptions import ResourceNotFoundError

    with _errors():
        try:
            properties = await connections.blobs().get_blob_client(container, name).get_blob_properties()
        except ResourceNotFoundError:
            return None
        return properties.size


async def delete(container: str, name: str) -> None:
    """Removes the blob; one that is not there is no obstacle. Raises `Unavailable`."""
    from azure.core.exceptions import ResourceNotFoundError

    with _errors():
        try:
            await connections.blobs().get_blob_client(container, name).delete_blob(delete_snapshots="include")
        except ResourceNotFoundError:
            return


async def download_url(container: str, name: str, *, now: datetime, valid_s: int) -> str:
    """A link that reads this one blob until `now` + `valid_s`. Raises `Unavailable`.

    Signed with the account key where there is one, otherwise with a user delegation key of this instance's identity:
    https://learn.microsoft.com/rest/api/storageservices/create-user-delegation-sas.
    """
    from azure.storage.blob import BlobSasPermissions, generate_blob_sas

    service = connections.blobs()
    begin, end = now - timedelta(minutes=15), now + timedelta(seconds=valid_s)
    account_key = getattr(service.credential, "account_key", None)
    with _errors():
        delegation_key = None if account_key else await service.get_user_delegation_key(begin, end)
    signature = generate_blob_sas(
        str(service.account_name),
        container,
        name,
        account_key=account_key,
        user_delegation_key=delegation_key,
        permission=BlobSasPermissions(read=True),
        start=begin,
        expiry=end,
    )
    return f"{service.get_blob_client(container, name).url}?{signature}"


@contextmanager
def _errors() -> Iterator[None]:
    from azure.core.exceptions import AzureError, HttpResponseError

    try:
        yield
    except HttpResponseError as error:
        if error.status_code is None or error.status_code in {408, 429} or error.status_code >= 500:
            raise Unavailable(f"blob storage: {error.status_code}") from error
        raise
    except AzureError as error:
        raise Unavailable(f"blob storage: {type(error).__name__}") from error
