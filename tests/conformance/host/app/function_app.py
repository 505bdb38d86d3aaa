"""An app of someone else's, as the host's documentation describes them; it knows nothing of this project."""

import asyncio
import json
import logging
import os
from typing import Any, List  # noqa: UP035 - the worker does not know list[...]

import azure.functions as func

from shared.telling import tell  # type: ignore[import-not-found]  # found in the app root, as deployed

app = func.FunctionApp()
logger = logging.getLogger(__name__)


def answered(**content: Any) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(content), mimetype="application/json")


@app.route(route="items/{id:int?}", methods=["GET", "HEAD"])
def items(req: func.HttpRequest) -> func.HttpResponse:
    return answered(**req.route_params)


@app.route(route="files/{name}.{extension}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def files(req: func.HttpRequest) -> func.HttpResponse:
    return answered(**req.route_params)


@app.route(route="pages/{*path}", auth_level=func.AuthLevel.ANONYMOUS)
def pages(req: func.HttpRequest) -> func.HttpResponse:
    return answered(method=req.method, **req.route_params)


@app.route(route="pages/first", auth_level=func.AuthLevel.ANONYMOUS)
def first_page(req: func.HttpRequest) -> str:
    return "the first page"


@app.route(route="grades/{grade:range(1,6)}", auth_level=func.AuthLevel.ANONYMOUS)
def grades(req: func.HttpRequest) -> str:
    return str(req.route_params["grade"])


@app.route(route="vault", auth_level=func.AuthLevel.ADMIN)
def vault(req: func.HttpRequest) -> str:
    return "gold"


@app.route(auth_level=func.AuthLevel.ANONYMOUS)
def unrouted(req: func.HttpRequest) -> str:
    return "found by its name"


@app.route(route="off", auth_level=func.AuthLevel.ANONYMOUS)
def turned_off(req: func.HttpRequest) -> str:
    return "nobody else reads this"


@app.route(route="settings", auth_level=func.AuthLevel.ANONYMOUS)
def settings(req: func.HttpRequest) -> func.HttpResponse:
    return answered(**{name: os.environ.get(name) for name in req.params["names"].split(",")})


@app.route(route="trace", auth_level=func.AuthLevel.ANONYMOUS)
def trace(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return answered(parent=context.trace_context.trace_parent, state=context.trace_context.trace_state)


@app.route(route="wait", auth_level=func.AuthLevel.ANONYMOUS)
async def wait(req: func.HttpRequest) -> str:
    await asyncio.sleep(0.7)
    return "done"


@app.route(route="whispers", auth_level=func.AuthLevel.ANONYMOUS)
def whispers(req: func.HttpRequest) -> str:
    logger.info("a whisper")
    logger.error("a cry")
    return ""


@app.route(route="speaks", auth_level=func.AuthLevel.ANONYMOUS)
def speaks(req: func.HttpRequest) -> str:
    logger.info("a word")
    return ""


@app.service_bus_queue_trigger(arg_name="message", queue_name="%Orders%", connection="Bus", is_sessions_enabled=True)
async def orders(message: func.ServiceBusMessage) -> None:
    """Fails once for a body that says so."""
    body = message.get_body().decode()
    tell("orders", session=message.session_id, body=body, delivery_count=message.delivery_count, phase="begun")
    if body == "fail" and message.delivery_count == 1:
        raise ValueError("asked to fail")
    await asyncio.sleep(0.15)
    tell("orders", session=message.session_id, body=body, delivery_count=message.delivery_count, phase="done")


@app.service_bus_queue_trigger(
    arg_name="messages",
    queue_name="ordered-batches",
    connection="Bus",
    is_sessions_enabled=True,
    cardinality=func.Cardinality.MANY,
)
def order_batches(messages: List[func.ServiceBusMessage]) -> None:  # noqa: UP006
    tell(
        "order_batches",
        sessions=sorted({message.session_id or "" for message in messages}),
        bodies=[message.get_body().decode() for message in messages],
    )


@app.service_bus_queue_trigger(
    arg_name="messages", queue_name="batches", connection="Bus", cardinality=func.Cardinality.MANY
)
def batches(messages: List[func.ServiceBusMessage]) -> None:  # noqa: UP006
    tell("batches", bodies=[message.get_body().decode() for message in messages])


@app.service_bus_queue_trigger(
    arg_name="messages", queue_name="ahead", connection="Bus", cardinality=func.Cardinality.MANY
)
def ahead(messages: List[func.ServiceBusMessage]) -> None:  # noqa: UP006
    for message in messages:
        tell("ahead", body=message.get_body().decode())


@app.service_bus_queue_trigger(arg_name="text", queue_name="texts", connection="Bus")
async def texts(text: str, context: func.Context) -> None:
    """Dawdles for a body that says so."""
    tell("texts", text=text, parent=context.trace_context.trace_parent, phase="begun")
    await asyncio.sleep({"long": 5.8, "short": 0.3}.get(text.partition(" ")[0], 0))
    tell("texts", text=text, phase="done")


@app.event_hub_message_trigger(
    arg_name="events", event_hub_name="readings", connection="Hubs", cardinality=func.Cardinality.MANY
)
def readings(events: List[func.EventHubEvent]) -> None:  # noqa: UP006
    tell("readings", bodies=[event.get_body().decode() for event in events])


@app.event_hub_message_trigger(arg_name="event", event_hub_name="since", connection="Hubs")
def since(event: func.EventHubEvent) -> None:
    tell("since", body=event.get_body().decode())


@app.timer_trigger(arg_name="timer", schedule="%Yearly%", use_monitor=False)
async def dawdle(timer: func.TimerRequest) -> None:
    tell("dawdle")
    await asyncio.sleep(60)


@app.timer_trigger(arg_name="timer", schedule="%Yearly%")
def watched(timer: func.TimerRequest) -> None:
    tell("watched")
