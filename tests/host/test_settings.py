"""App settings and local.settings.json."""

import json
from pathlib import Path

import pytest

from localcloud.errors import Misconfigured
from localcloud.host.local_settings import read_local_settings
from localcloud.host.settings import AppSettings


def _settings_file(folder: Path, **content: object) -> Path:
    file = folder / "local.settings.json"
    file.write_text(json.dumps(content))
    return file


def test_the_environment_wins_over_the_settings_file(tmp_path: Path) -> None:
    file = _settings_file(
        tmp_path, IsEncrypted=False, Values={"A": "file", "B": "file", "N": 1, "E": "file", "X": None}
    )
    environment = {"A": "environment", "E": ""}
    settings = AppSettings.over(read_local_settings(file).values, environment)
    found = [settings.get(name) for name in ("A", "B", "N", "E", "X")]
    assert found == ["environment", "file", "1", "file", None]
    assert environment["B"] == "file"  # where functions look


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"Values": []}', 'holds no object named "Values"'),
        ('{"Values": {"A": {}}}', "has the value A, which must be a string"),
        ('{"Values": {"A=B": "c"}}', "the name 'A=B', which no setting can have"),
        ('{"IsEncrypted": true}', "run `func settings decrypt` first"),
        ('{"Host": {"LocalHttpPort": 70000}}', "LocalHttpPort 70000, which is no port"),
        ('{"Host": {"CORS": "*", "CORSCredentials": true}}', "list the origins"),
    ],
)
def test_a_settings_file_that_cannot_be_used_is_explained(tmp_path: Path, content: str, reason: str) -> None:
    file = tmp_path / "local.settings.json"
    file.write_text(content)
    with pytest.raises(Misconfigured, match=reason):
        read_local_settings(file)


def test_an_absent_settings_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"nowhere\.json"):
        read_local_settings(tmp_path / "nowhere.json")


def test_connection_strings_are_settings_too_and_bindings_find_them(tmp_path: Path) -> None:
    file = _settings_file(tmp_path, ConnectionStrings={"Plain": "p", "Detailed": {"ConnectionString": "d"}})
    settings = AppSettings.over(read_local_settings(file).values, {})
    assert settings.get("ConnectionStrings:Plain") == "p"
    assert (settings.connection("Plain"), settings.connection("Detailed")) == ("p", "d")


def test_development_storage_stands_for_azurite() -> None:
    settings = AppSettings({"AzureWebJobsStorage": "UseDevelopmentStorage=true"})
    assert "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;" in settings.connection("AzureWebJobsStorage")


def test_references_are_resolved_wherever_they_stand() -> None:
    assert AppSettings({"A": "x", "B": "y"}).resolve("%A%-%B%/%A") == "x-y/%A"


def test_a_connection_is_found_with_the_prefix_of_webjobs_too() -> None:
    settings = AppSettings({"Plain": "p", "AzureWebJobsPrefixed": "q", "Name": "Plain"})
    assert settings.connection("Plain") == "p"
    assert settings.connection("Prefixed") == "q"
    assert settings.connection("%Name%") == "p"
