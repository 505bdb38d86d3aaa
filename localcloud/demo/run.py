"""The course of the demo."""

import asyncio
import json
import os
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from rich.console import Console

from localcloud.app_client import AppClient
from localcloud.backlog import Backlog
from localcloud.configuration import load
from localcloud.demo import campaign
from localcloud.demo.fleet import BRAND, MARKET, MODEL, Participant, build
from localcloud.demo.outcome import Outcome, observe
from localcloud.demo.screen import Screen, summarise
from localcloud.fleet.factory import Factory
from localcloud.fleet.hub_service import HubService
from localcloud.fleet.light_link import light_link
from localcloud.fleet.link import Callbacks, HubEndpoint, HubRefusedError, HubUnreachableError, LinkMaker, MethodAnswer
from localcloud.fleet.vehicle import Vehicle
from localcloud.layout import Layout, make_folder
from localcloud.mail import MailSink
from localcloud.pki import Pki
from localcloud.workspace import workspace
from shared import connections, settings
from shared.clock import utc_now
from shared.identity import registry
from shared.identity.vehicle import Vehicle as Registered

RESULT = "demo.json"
TIMEOUT_S = 80.0
POLL_S = 0.5
CONNECT_S = 20.0

# Paced for an audience; in production timers and pauses are longer.
SETTINGS = {
    "CERTIFICATE_SCAN_SCHEDULE": "*/5 * * * * *",
    "TRIP_SWEEP_SCHEDULE": "*/2 * * * * *",
    "TRIP_FLICKER_S": "3",
}


async def demo(*, vehicles: int, seed: int, directory: Path) -> int:
    """Runs the demo, writes `demo.json` into the directory and returns the exit code: 0 if everything held."""
    console = Console()
    begin = time.monotonic()
    # Figures of an earlier run must not pass for those of this one.
    (make_folder(directory) / RESULT).unlink(missing_ok=True)
    async with workspace(directory, "demo", SETTINGS) as cloud:
        outcome = await _run(cloud.layout, console, vehicles=vehicles, seed=seed)
    outcome.elapsed_s = time.monotonic() - begin
    (directory / RESULT).write_text(json.dumps(outcome.as_json(), indent=2) + "\n")
    summarise(console, outcome)
    console.print(f"The figures are in {directory / RESULT}")
    return 0 if outcome.ok else 1


async def _run(layout: Layout, console: Console, *, vehicles: int, seed: int) -> Outcome:
    pki = Pki(layout.pki)
    async with AsyncExitStack() as stack:
        sink = stack.enter_context(MailSink(layout.address, layout.smtp_port))
        service = await stack.enter_async_context(HubService(layout.iothub_service_connection, pki.root))
        app = await stack.enter_async_context(AppClient(layout))
        backlog = await stack.enter_async_context(Backlog(layout))
        make_link = light_link(HubEndpoint(layout.hostname, pki.root, layout.mqtt_port), seed=seed)
        factory = Factory(layout.directory / "vehicles", pki, service, seed)
        fleet = await build(factory, make_link, vehicles=vehicles, seed=seed, now=utc_now())
        await _register(layout, fleet)
        await _introduce(app, backlog, fleet)
        update = await campaign.prepare(app, seed)
        async with asyncio.TaskGroup() as connecting:
            for participant in fleet:
                connecting.create_task(stack.enter_async_context(participant.vehicle))
        screen = Screen(console)
        with screen.progress:
            async with asyncio.TaskGroup() as acting:
                acting.create_task(app.command(settings.OTA_COMMANDS, update))
                for participant in fleet:
                    acting.create_task(participant.take_part())
                outcome = await _watch(app, service, fleet, sink, screen)
    await _check_doors(outcome, fleet, make_link)
    return outcome


async def _register(layout: Layout, fleet: Sequence[Participant]) -> None:
    """The fleet's registry, by the app's own library and so with the app's settings."""
    os.environ.update(load().settings_for(layout))
    try:
        for participant in fleet:
            await registry.register(Registered(participant.vehicle_id, BRAND, MODEL, MARKET))
    finally:
        await connections.close()


async def _introduce(app: AppClient, backlog: Backlog, fleet: Sequence[Participant]) -> None:
    """Owners and certificates, before anything happens that they would miss."""
    await app.command(settings.NOTIFICATION_COMMANDS, *(participant.owner for participant in fleet))
    await app.command(settings.CERTIFICATE_COMMANDS, *(participant.enrolment for participant in fleet))
    queues = (settings.NOTIFICATION_COMMANDS, settings.CERTIFICATE_COMMANDS)
    await backlog.until_empty(queues=queues, timeout_s=TIMEOUT_S)


async def _watch(
    app: AppClient, hub: HubService, fleet: Sequence[Participant], sink: MailSink, screen: Screen
) -> Outcome:
    """Observes until everything holds or the time is up; returns the last observation."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        outcome = await observe(app, hub, fleet, sink.mails)
        screen.show(outcome)
        if outcome.ok or time.monotonic() > deadline:
            return outcome
        await asyncio.sleep(POLL_S)


async def _check_doors(outcome: Outcome, fleet: Sequence[Participant], make_link: LinkMaker) -> None:
    """Every vehicle still gets in with what is on its disk; no retired certificate does."""
    for participant in fleet:
        if not await _gets_in(Vehicle(participant.garage, make_link)):
            outcome.certificates.locked_out += 1
            outcome.complaints.append(f"{participant.vehicle_id}: is locked out")
        if participant.rotation_due and await _old_certificate_gets_in(participant, make_link):
            outcome.complaints.append(f"{participant.vehicle_id}: the retired certificate is still accepted")


async def _gets_in(vehicle: Vehicle) -> bool:
    try:
        async with asyncio.timeout(CONNECT_S), vehicle:
            return True
    except (HubRefusedError, HubUnreachableError, TimeoutError):
        return False


async def _old_certificate_gets_in(participant: Participant, make_link: LinkMaker) -> bool:
    async def no_method(_: str, __: object) -> MethodAnswer:
        return MethodAnswer(404, None)

    callbacks = Callbacks(lambda: None, lambda _: None, no_method)
    link = make_link(participant.vehicle_id, lambda: [participant.factory_identity], callbacks)
    try:
        async with asyncio.timeout(CONNECT_S):
            await link.connect()
    except (HubRefusedError, HubUnreachableError, TimeoutError):
        return False
    else:
        return True
    finally:
        await link.close()
