"""Every trigger fires with what was sent, through the unmodified SDKs, the broker and a host process."""

from datetime import UTC, datetime, timedelta

from azure.servicebus import ServiceBusMessage

from localcloud.processes import Child
from tests.conformance.documented import documented
from tests.host.conftest import Bench
from tests.host.payloads import TRACE_PARENT


@documented("azure/azure-functions/functions-bindings-event-hubs-trigger#event-metadata")
async def test_a_batch_of_events_arrives_in_order_with_properties_partition_and_trace(
    bench: Bench, host: Child
) -> None:
    await bench.send_events(
        "many", *(b"ordered-%d" % i for i in range(25)), partition="1", type="x", traceparent=TRACE_PARENT
    )
    seen = await bench.observer.wait("event_batch", where=lambda each: each["seen"][-1]["body"] == "ordered-24")
    ordered = [body for body in bench.observer.bodies("event_batch") if body.startswith("ordered-")]
    assert ordered == [f"ordered-{i}" for i in range(25)]
    batches = [each for each in bench.observer.observations if each["function"] == "event_batch"]
    assert max(len(each["seen"]) for each in batches) == 10  # maxEventBatchSize of host.json
    last = seen[-1]["seen"][-1]
    assert last["metadata"]["PropertiesArray"][-1] == {"type": "x", "traceparent": TRACE_PARENT}
    for name in ("PartitionContext", "TriggerPartitionContext"):
        context = last["metadata"][name]
        assert (context["PartitionId"], context["EventHubName"], context["ConsumerGroup"]) == ("1", "many", "$Default")
    assert last["sequence_number"] == last["metadata"]["SystemPropertiesArray"][-1]["SequenceNumber"]
    assert isinstance(last["offset"], int)
    enqueued = datetime.fromisoformat(last["enqueued_time"]).replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - enqueued) < timedelta(minutes=1)
    assert seen[-1]["context"]["trace_parent"] == TRACE_PARENT


async def test_a_single_event_arrives_at_a_coroutine(bench: Bench, host: Child) -> None:
    await bench.send_events("one", b"alone", kind="k")
    (each,) = await bench.observer.wait("event_one", where=lambda each: each["seen"]["body"] == "alone")
    assert each["seen"]["metadata"]["Properties"] == {"kind": "k"}
    assert each["seen"]["metadata"]["TriggerPartitionContext"]["PartitionId"] == "0"
    assert isinstance(each["seen"]["offset"], str)


async def test_a_text_body_overwrites_metadata_as_in_the_real_host(bench: Bench, host: Child) -> None:
    """The reason why triggers of this project are binary or take batches."""
    await bench.send_events("text", b'{"iothub-connection-device-id": "victim"}')
    (each,) = await bench.observer.wait("event_text", where=lambda each: "victim" in each["seen"]["body"])
    assert each["seen"]["iothub_metadata"] == {"connection-device-id": "victim"}


@documented("azure/azure-functions/functions-bindings-service-bus-trigger#message-metadata")
async def test_a_queue_message_arrives_with_its_properties(bench: Bench, host: Child) -> None:
    message = ServiceBusMessage(
        b"hello",
        message_id="own-id",
        subject="a subject",
        content_type="text/plain",
        correlation_id="c",
        application_properties={"cloudEvents:type": "T", "n": 5, "traceparent": TRACE_PARENT},
    )
    await bench.send_messages(message, queue="commands")
    (each,) = await bench.observer.wait("queue_message", where=lambda each: each["seen"]["message_id"] == "own-id")
    seen = each["seen"]
    assert seen["body"] == "hello"
    assert seen["application_properties"] == {"cloudEvents:type": "T", "n": 5, "traceparent": TRACE_PARENT}
    assert seen["user_properties"] == seen["application_properties"]
    assert (seen["subject"], seen["content_type"], seen["correlation_id"]) == ("a subject", "text/plain", "c")
    assert seen["delivery_count"] == 1
    assert seen["sequence_number"] > 0
    assert seen["lock_token"]
    assert each["context"]["trace_parent"] == TRACE_PARENT


async def test_a_topic_message_arrives_at_its_subscription(bench: Bench, host: Child) -> None:
    await bench.send_messages(ServiceBusMessage("grüße"), topic="happenings")
    (each,) = await bench.observer.wait("topic_message", where=lambda each: each["seen"]["body"] == "grüße")
    assert each["seen"]["delivery_count"] == 1
    assert each["context"]["trace_parent"].startswith("00-")


async def test_queue_messages_arrive_as_a_batch(bench: Bench, host: Child) -> None:
    messages = [ServiceBusMessage(b"batched-%d" % i, application_properties={"i": i}) for i in range(5)]
    await bench.send_messages(*messages, queue="batches")
    *_, last = await bench.observer.wait("queue_batch", where=lambda each: each["seen"][-1]["body"] == "batched-4")
    batched = [body for body in bench.observer.bodies("queue_batch") if body.startswith("batched-")]
    assert batched == [f"batched-{i}" for i in range(5)]
    properties = last["seen"][0]["metadata"]["ApplicationPropertiesArray"]
    assert [each["application_properties"] for each in last["seen"]] == properties
    assert properties[-1] == {"i": 4}


@documented("azure/azure-functions/functions-bindings-timer#attributes")
async def test_a_startup_timer_fires_at_the_start_and_is_retried(bench: Bench, host: Child) -> None:
    first, second = (await bench.observer.wait("yearly", 2))[:2]
    assert first["seen"]["past_due"] is False
    assert first["seen"]["schedule_status"]["Next"].endswith("-01-01T03:00:00+00:00")
    assert (first["context"]["retry_count"], first["context"]["max_retry_count"]) == (0, 0)
    assert (second["context"]["retry_count"], second["context"]["max_retry_count"]) == (1, 1)
