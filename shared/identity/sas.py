"""Shared access signatures of the IoT Hub, for connection strings (managed identity needs none).

https://learn.microsoft.com/azure/iot-hub/authenticate-authorize-sas#sas-token-structure
"""

import base64
import hashlib
import hmac
from datetime import datetime
from urllib.parse import quote, quote_plus


def service_token(resource: str, policy: str, key: str, expires_at: datetime) -> str:
    """The authorization header value that opens `resource` until `expires_at` with a policy's base64 key."""
    encoded, expiry = quote_plus(resource), int(expires_at.timestamp())
    digest = hmac.new(base64.b64decode(key), f"{encoded}\n{expiry}".encode(), hashlib.sha256).digest()
    signature = quote(base64.b64encode(digest), safe="")
    return f"SharedAccessSignature sr={encoded}&sig={signature}&se={expiry}&skn={policy}"
