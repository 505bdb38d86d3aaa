"""Subscriptions of the tests' own: who reads the app's would take its messages away, or another test's."""

from pathlib import Path

from localcloud.configuration import CONFIG


def with_witnesses(folder: Path, *names: str) -> Path:
    """The local cloud's configuration with a further subscription to the domain events for each name."""
    ours = '["notifications"]'
    declared = CONFIG.read_text()
    assert ours in declared
    config = folder / "cloud.toml"
    subscriptions = ", ".join(f'"{name}"' for name in ("notifications", *names))
    config.write_text(declared.replace(ours, f"[{subscriptions}]"))
    return config
