"""Settings are checked once, and an error names the setting."""

from pathlib import Path

import pytest

from shared import settings
from shared.errors import Misconfigured
from shared.settings import Settings

REQUIRED = {
    "ISSUING_CA_CERTIFICATE_FILE": "ca.pem",
    "ISSUING_CA_KEY_FILE": "ca.key",
    "SMTP_HOST": "localhost",
    "MAIL_SENDER": "cars@example.com",
}


def test_everything_else_has_a_default() -> None:
    loaded = Settings.from_mapping(REQUIRED)
    assert loaded.issuing_ca_key_file == Path("ca.key")
    assert loaded.trip_silence_s == 120
    assert loaded.trip_sample_max_age_days == 30
    assert loaded.smtp_username is None


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_setting_is_named(name: str) -> None:
    with pytest.raises(Misconfigured, match=name):
        Settings.from_mapping({key: value for key, value in REQUIRED.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMTP_PORT", "x"),
        ("SMTP_PORT", "70000"),
        ("TRIP_SILENCE_S", "1.5"),
        ("TRIP_SILENCE_S", "0"),
        ("TRIP_SILENCE_S", "nan"),
        ("SMTP_SECURITY", "maybe"),
        ("DEFAULT_LANGUAGE", "xx"),
        ("COMMAND_RETRY_S", "inf"),
        ("TRIP_RETENTION_DAYS", "0"),
        ("TRIP_POSITION_RETENTION_DAYS", "6"),
        ("TRIP_SAMPLE_MAX_AGE_DAYS", "2"),
        ("PARKED_RETENTION_DAYS", "0"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str) -> None:
    with pytest.raises(Misconfigured, match=name):
        Settings.from_mapping({**REQUIRED, name: value})


def test_a_missing_connection_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ServiceBus", raising=False)
    with pytest.raises(Misconfigured, match="ServiceBus"):
        settings.connection("ServiceBus")
