"""What the host does while its broker is away. Last of its folder, since it costs all others their connections."""

from azure.servicebus import ServiceBusMessage

from localcloud.processes import Child
from tests.host.conftest import Bench


async def test_a_host_outlives_its_broker(bench: Bench, host: Child) -> None:
    await bench.broker.kill()
    await bench.start_broker()
    # By SDK clients of their own, since the bench's have lost their connection.
    fresh = Bench(bench.layout, bench.observer, bench.observed_at)
    await fresh.send_events("one", b"after the broker's return")
    await fresh.send_messages(ServiceBusMessage(b"after the broker's return"), queue="commands")
    for function in ("event_one", "queue_message"):
        await bench.observer.wait(function, where=lambda each: each["seen"]["body"] == "after the broker's return")
    await fresh.close_clients()
