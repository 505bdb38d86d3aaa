"""The witnesses themselves: what fails in JavaScript fails here, and nothing is left out in silence."""

from pathlib import Path

import pytest

from tests.witnesses.listing import HERE, Behaviour, behaviours, stated_in
from tests.witnesses.running import running

_IMPORT = f'import {{ behaviour, feature }} from "{(HERE / "lib" / "behaviour.mjs").as_uri()}";'


def _file(folder: Path, *lines: str) -> Path:
    file = folder / "example.test.mjs"
    file.write_text("\n".join((_IMPORT, 'feature("Example", () => {', *lines, "});")), encoding="utf-8")
    return file


async def _failure(behaviour: Behaviour, logs: Path) -> str | None:
    async with running([behaviour], {}, logs) as run:
        try:
            await run.require(behaviour)
        except pytest.fail.Exception as failed:
            return str(failed)
    return None


async def test_a_behaviour_that_node_refutes_fails_with_its_words(tmp_path: Path) -> None:
    file = _file(
        tmp_path,
        'behaviour("It holds", "page", async (entity) => { if (entity !== "example-0") throw new Error(entity); });',
        'behaviour("It does not", "page#section", async () => { throw new Error("it rained"); });',
    )
    holds, does_not = stated_in(file)
    assert (does_not.name, does_not.reference) == ("It does not", "page#section")
    assert await _failure(holds, tmp_path) is None
    assert "Error: it rained" in (await _failure(does_not, tmp_path) or "")


async def test_a_behaviour_that_node_does_not_come_to_fails(tmp_path: Path) -> None:
    """With what node says instead: a file that cannot be loaded shows nothing."""
    file = _file(tmp_path, 'if (true) throw new SyntaxError("broken");', 'behaviour("Never", "page", async () => {});')
    failure = await _failure(stated_in(file)[0], tmp_path)
    assert failure is not None
    assert "node reported no result" in failure
    assert "broken" in failure


@pytest.mark.parametrize(
    "lines",
    [
        ('behaviour(`It is ${"put"} together`, "page", async () => {});',),
        ('behaviour("Twice", "page", async () => {});', 'behaviour("Twice", "page", async () => {});'),
    ],
)
def test_what_cannot_be_listed_is_refused(tmp_path: Path, lines: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"example\.test\.mjs"):
        stated_in(_file(tmp_path, *lines))


def test_every_service_has_witnesses() -> None:
    for service in ("service-bus", "event-hubs", "iot-hub"):
        assert behaviours(service)
    with pytest.raises(ValueError, match="no witness"):
        behaviours("no-such-service")
