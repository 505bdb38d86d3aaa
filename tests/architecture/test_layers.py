"""Rules between rooms that import-linter cannot express: it does not tell one Azure package from another."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
JOBS = ("ota", "certificates", "trips", "notifications", "operations")
WITH_IO = {"triggers", "service", "store", "authority"}  # or what ends so, as `rollup_service`
IMPURE = {
    *("azure", "aiohttp", "aiosmtplib", "logging", "os", "random", "secrets", "socket", "time", "uuid"),
    *("shared.connections", "shared.settings", "shared.storage", "shared.identity.registry"),
    *("shared.messaging.publisher", "shared.messaging.parking", "shared.messaging.vehicle_link"),
}


def _sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def _imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Names of the imported modules, and whether the import runs when the module is imported."""
    tree = ast.parse(path.read_text())
    lazy = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        at_import = id(node) not in lazy
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_import) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module}.{alias.name}", at_import) for alias in node.names)


def _is(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _pure_modules() -> list[Path]:
    return [
        path
        for job in JOBS
        for path in sorted((ROOT / "functions" / job).glob("*.py"))
        if path.stem.rpartition("_")[2] not in WITH_IO and path.stem != "__init__"
    ]


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", _sources("functions", "shared"), ids=_name)
def test_the_functions_library_appears_only_in_triggers(path: Path) -> None:
    if path.stem != "triggers":
        assert not [module for module, _ in _imports(path) if _is(module, "azure.functions")]


@pytest.mark.parametrize("path", _sources("functions", "shared"), ids=_name)
def test_azure_sdks_are_imported_where_they_are_used(path: Path) -> None:
    """At import they would be paid for at every cold start, by every function."""
    eager = [
        module
        for module, at_import in _imports(path)
        if at_import and _is(module, "azure") and not _is(module, "azure.functions")
    ]
    assert not eager


@pytest.mark.parametrize("path", _sources("functions"), ids=_name)
def test_azure_sdks_stay_in_stores_authorities_and_channels(path: Path) -> None:
    if path.stem not in {"store", "authority", "triggers"} and "channels" not in path.parts:
        assert not [module for module, _ in _imports(path) if _is(module, "azure")]


@pytest.mark.parametrize("path", _pure_modules(), ids=_name)
def test_rules_know_no_io_no_clock_and_no_chance(path: Path) -> None:
    found = [module for module, _ in _imports(path) for impure in IMPURE if _is(module, impure)]
    assert not found
    assert "datetime.now(" not in path.read_text()


@pytest.mark.parametrize("job", JOBS)
def test_the_rooms_are_cut_alike(job: str) -> None:
    present = {path.stem for path in (ROOT / "functions" / job).glob("*.py")}
    assert {"triggers", "service", "store"} <= present


def test_the_app_stays_small() -> None:
    assert len((ROOT / "function_app.py").read_text().splitlines()) <= 25


def test_importing_the_app_imports_no_sdk_and_no_job() -> None:
    """Each function pays for its own job, at its first call."""
    code = "import sys, function_app; print(sorted(name for name in sys.modules))"
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    heavy = ("azure.core", "azure.storage", "azure.data", "azure.servicebus", "azure.identity")
    libraries = ("aiohttp", "jinja2", "babel", "cryptography", "msgspec")
    loaded = ast.literal_eval(output)
    assert not [name for name in loaded if name.startswith((*heavy, *libraries))]
    assert not [name for name in loaded if name.startswith("functions.") and name.endswith(("service", "store"))]


def test_our_packages_are_the_ones_imported() -> None:
    """The app's folder is last on the worker's path: an installed package named `shared` would win."""
    import functions
    import shared

    for package in (functions, shared):
        assert package.__file__
        assert Path(package.__file__).is_relative_to(ROOT)


def test_no_folder_is_called_samples() -> None:
    """The worker treats a folder of that name in its own way."""
    assert not list(ROOT.glob("samples"))
