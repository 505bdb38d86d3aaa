"""A function app with every kind of trigger, for tests of the host. Each function tells what it was given."""

import asyncio
import json
import logging
from typing import List  # noqa: UP035 - the worker does not know list[...]

import azure.functions as func
from observed import (  # type: ignore[import-not-found]  # found in the app root, as deployed
    observe,
    seen_in_blob,
    seen_in_context,
    seen_in_event,
    seen_in_message,
    seen_in_request,
    seen_in_stored_message,
    seen_in_timer,
)

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.event_hub_message_trigger(
    arg_name="events",
    event_hub_name="%ManyHub%",
    connection="Events",
    cardinality=func.Cardinality.MANY,
    data_type=func.DataType.BINARY,
)
def event_batch(events: List[func.EventHubEvent], context: func.Context) -> None:  # noqa: UP006
    observe("event_batch", [seen_in_event(event) for event in events], seen_in_context(context))


@app.event_hub_message_trigger(
    arg_name="event", event_hub_name="one", connection="Events", data_type=func.DataType.BINARY
)
async def event_one(event: func.EventHubEvent, context: func.Context) -> None:
    """Never ends for a body that says so."""
    observe("event_one", seen_in_event(event), seen_in_context(context))
    if event.get_body() == b"hang":
        await asyncio.Event().wait()


@app.event_hub_message_trigger(arg_name="event", event_hub_name="text", connection="Events")
def event_text(event: func.EventHubEvent, context: func.Context) -> None:
    observe("event_text", seen_in_event(event), seen_in_context(context))


@app.event_hub_message_trigger(
    arg_name="events",
    event_hub_name="retried",
    connection="Events",
    consumer_group="retries",
    cardinality=func.Cardinality.MANY,
    data_type=func.DataType.BINARY,
)
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:01")
def event_retried(events: List[func.EventHubEvent], context: func.Context) -> None:  # noqa: UP006
    """Fails for a batch that says so."""
    observe("event_retried", [seen_in_event(event) for event in events], seen_in_context(context))
    if any(event.get_body() == b"fail" for event in events):
        raise ValueError("asked to fail")


@app.event_hub_message_trigger(
    arg_name="events",
    event_hub_name="stubborn",
    connection="Events",
    cardinality=func.Cardinality.MANY,
    data_type=func.DataType.BINARY,
)
@app.retry(strategy="fixed_delay", max_retry_count="-1", delay_interval="00:00:01")
async def event_stubborn(events: List[func.EventHubEvent], context: func.Context) -> None:  # noqa: UP006
    """Fails for ever."""
    observe("event_stubborn", [seen_in_event(event) for event in events], seen_in_context(context))
    raise ValueError("as always")


@app.service_bus_queue_trigger(
    arg_name="message", queue_name="commands", connection="Bus", data_type=func.DataType.BINARY
)
async def queue_message(message: func.ServiceBusMessage, context: func.Context) -> None:
    """Fails or dawdles for a body that says so."""
    observe("queue_message", seen_in_message(message), seen_in_context(context))
    if message.get_body() == b"fail":
        raise ValueError("asked to fail")
    if message.get_body() == b"slow":
        await asyncio.sleep(0.5)
        observe("queue_message_slow_done", None, {})


@app.service_bus_topic_trigger(arg_name="message", topic_name="happenings", subscription_name="mine", connection="Bus")
def topic_message(message: func.ServiceBusMessage, context: func.Context) -> None:
    observe("topic_message", seen_in_message(message), seen_in_context(context))


@app.service_bus_queue_trigger(
    arg_name="messages",
    queue_name="batches",
    connection="Bus",
    cardinality=func.Cardinality.MANY,
    data_type=func.DataType.BINARY,
)
def queue_batch(messages: List[func.ServiceBusMessage], context: func.Context) -> None:  # noqa: UP006
    observe("queue_batch", [seen_in_message(message) for message in messages], seen_in_context(context))


@app.queue_trigger(arg_name="message", queue_name="%Errands%", connection="AzureWebJobsStorage")
async def stored_message(message: func.QueueMessage, context: func.Context) -> None:
    """Fails or dawdles for a body that says so."""
    observe("stored_message", seen_in_stored_message(message), seen_in_context(context))
    if message.get_body() == b"fail":
        raise ValueError("asked to fail")
    if message.get_body() == b"slow":
        await asyncio.sleep(0.5)
        observe("stored_message_slow_done", None, {})


@app.queue_trigger(
    arg_name="message", queue_name="parcels", connection="AzureWebJobsStorage", data_type=func.DataType.BINARY
)
def stored_parcel(message: func.QueueMessage, context: func.Context) -> None:
    observe("stored_parcel", seen_in_stored_message(message), seen_in_context(context))


@app.queue_trigger(arg_name="text", queue_name="notes", connection="AzureWebJobsStorage")
def plain_text(text: str, context: func.Context) -> None:
    observe("plain_text", text, seen_in_context(context))


@app.queue_trigger(
    arg_name="data", queue_name="raw-notes", connection="AzureWebJobsStorage", data_type=func.DataType.BINARY
)
def plain_bytes(data: bytes, context: func.Context) -> None:
    observe("plain_bytes", data.hex(), seen_in_context(context))


@app.blob_trigger(arg_name="blob", path="drops/{car}/{name}.csv", connection="AzureWebJobsStorage")
def dropped_blob(blob: func.InputStream, context: func.Context) -> None:
    """Fails for a blob that says so."""
    seen = seen_in_blob(blob)
    observe("dropped_blob", seen, seen_in_context(context))
    if seen["body"] == "fail":
        raise ValueError("asked to fail")


@app.timer_trigger(arg_name="timer", schedule="%Every%")
def tick(timer: func.TimerRequest, context: func.Context) -> None:
    observe("tick", seen_in_timer(timer), seen_in_context(context))


@app.timer_trigger(arg_name="timer", schedule="* * * * * *")
def every_second(timer: func.TimerRequest, context: func.Context) -> None:
    observe("every_second", seen_in_timer(timer), seen_in_context(context))


@app.timer_trigger(arg_name="timer", schedule="0 0 3 1 1 *", run_on_startup=True)
@app.retry(
    strategy="exponential_backoff", max_retry_count="1", minimum_interval="00:00:00", maximum_interval="00:00:01"
)
async def yearly(timer: func.TimerRequest, context: func.Context) -> None:
    """Fails at first, so that its retry can be seen."""
    observe("yearly", seen_in_timer(timer), seen_in_context(context))
    if context.retry_context.retry_count == 0:
        raise ValueError("the first attempt")


@app.route(route="things/{id:int}", methods=["GET", "POST"])
async def thing(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    seen = seen_in_request(req)
    observe("thing", seen, seen_in_context(context))
    return func.HttpResponse(
        json.dumps(seen),
        status_code=201,
        mimetype="application/json",
        headers={"X-Own": "yes", "Set-Cookie": "seen=1; Path=/"},
    )


@app.route(route="open", auth_level=func.AuthLevel.ANONYMOUS)
def open_door(req: func.HttpRequest) -> str:
    logging.getLogger(__name__).info("the door is open")
    return f"hello {req.params.get('name', 'stranger')}"


@app.route(route="wrong/{how}", auth_level=func.AuthLevel.ANONYMOUS)
async def wrong(req: func.HttpRequest) -> func.HttpResponse:
    """Does what an HTTP function must not."""
    if req.route_params["how"] == "none":
        return None  # type: ignore[return-value]
    if req.route_params["how"] == "slow":
        await asyncio.sleep(60)
    raise ValueError("asked to fail")


@app.timer_trigger(arg_name="timer", schedule="0 0 3 1 1 *")
def returns_something(timer: func.TimerRequest) -> int:
    """Fails, since a value that is returned needs a binding."""
    return int(timer.past_due)
