"""The weekly digest, from the trips in the tables to the mail: through both jobs, on real services."""

import pytest

from shared.identity.vehicle import shard
from shared.messaging import publisher
from shared.messaging.contracts import WeeklyDigestReady
from tests.notifications.desk import Desk
from tests.trips.rollups import Owned, RollUps, trip

NIGHT = "2026-05-04T03:30:00"


async def told(desk: Desk, monkeypatch: pytest.MonkeyPatch, night: str = NIGHT) -> list[WeeklyDigestReady]:
    """What a roll-up of the desk's vehicle tells; the subscription delivers it twice."""
    roll_ups = RollUps(shard(desk.vehicle_id))
    with monkeypatch.context() as patch:
        patch.setattr(publisher, "send", roll_ups.send)
        await roll_ups.run(night)
    digests = roll_ups.digests(desk.vehicle_id)
    for digest in digests * 2:
        await desk.event(digest)
    await desk.work()
    return digests


async def test_a_week_of_driving_is_told_once_by_mail(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await desk.set_recipient()
    await desk.set_recipient("bea", language="en-GB")
    await desk.set_recipient("carl", muted=("digest",))
    await Owned(desk.vehicle_id).drove(
        trip("2026-04-27T06:00:00", distance_km=12.4, energy_kwh=2.0, eco_score=80.0),
        trip("2026-05-03T21:30:00", distance_km=30.0, energy_kwh=5.0, eco_score=60.0),
        trip("2026-05-03T22:30:00", distance_km=500.0),  # Monday in Berlin
    )
    assert len(await told(desk, monkeypatch)) == 1
    assert await told(desk, monkeypatch) == []
    (mail,), (english,) = desk.mails(), desk.mails("bea")
    assert desk.mails("carl") == []
    assert (mail["Subject"], english["Subject"]) == ("Ihre Woche: 42,4 km", "Your week: 42.4 km")
    text = mail.get_body(("plain",))
    assert text is not None
    for words in ("vom 27. April 2026 bis zum 3. Mai 2026", "Fahrten: 2", "1 Stunde", "16,5 kWh/100 km", "66 von 100"):
        assert words in text.get_content()
    assert await desk.outcomes() == {("anna", "email", "delivered"), ("bea", "email", "delivered")}
    assert {delivery.category for delivery in await desk.deliveries()} == {"digest"}


async def test_the_next_week_is_told_by_another_mail(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await desk.set_recipient()
    car = Owned(desk.vehicle_id)
    await car.drove(trip("2026-04-27T06:00:00"))
    await told(desk, monkeypatch)
    await car.drove(trip("2026-05-05T06:00:00", distance_km=7.0))
    await told(desk, monkeypatch, "2026-05-11T03:30:00")
    assert [mail["Subject"] for mail in desk.mails()] == ["Ihre Woche: 20,0 km", "Ihre Woche: 7,0 km"]
