"""The software update that the demo rolls out."""

import hashlib
from random import Random

from localcloud.app_client import AppClient
from localcloud.demo.fleet import BRAND, MODEL
from shared import settings
from shared.messaging.contracts import Artifact, StartCampaign

CAMPAIGN_ID = "demo-2.0.0"
VERSION = "2.0.0"
SIZE_BYTES = 256 * 1024


async def prepare(app: AppClient, seed: int) -> StartCampaign:
    """Uploads the artifact; returns the command that starts its campaign."""
    software = Random(f"software/{seed}").randbytes(SIZE_BYTES)  # noqa: S311 - any bytes do
    blob = f"{VERSION}/one.bin"
    await app.upload(settings.ARTIFACTS_CONTAINER, blob, software)
    return StartCampaign(
        campaign_id=CAMPAIGN_ID,
        title="Smoother charging and better range estimates",
        brand=BRAND,
        model=MODEL,
        version=VERSION,
        artifact=Artifact(blob=blob, sha256=hashlib.sha256(software).hexdigest(), size_bytes=len(software)),
    )
