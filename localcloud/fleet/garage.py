"""What a vehicle keeps on its own disk, in a directory of its own; a restart resumes from there.

state.json          boot counter, installed software, messages shown
identity.pem        key and certificate in use
identity.pem.new    issued by a rotation that is not yet completed
rotation.json       the key of a rotation under way
update.json         how the last update ended
artifacts/          downloaded, checked software by its SHA-256
"""

import secrets
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from localcloud.fleet.files import move, remove, write_atomically
from localcloud.fleet.identity import Credential, certificate_to_pem, key_to_pem

_MESSAGES_REMEMBERED: Final = 1000


class Software(msgspec.Struct, frozen=True):
    version: str
    sha256: str | None = None  # of the file in `artifacts`; the factory's own software is none of the vehicle's files


class PendingRotation(msgspec.Struct, frozen=True):
    rotation_id: str
    key: str  # PEM
    csr: str  # PEM


class UpdateOutcome(msgspec.Struct, frozen=True):
    """The report that ended an update, and the offer that it is about."""

    offer: str
    report: msgspec.Raw


class _State(msgspec.Struct, frozen=True):
    vehicle_id: str
    unit: str
    software: Software
    boots: int = 0
    messages_shown: tuple[str, ...] = ()


class Garage:
    """The vehicle's disk. Every change is durable when the method returns."""

    def __init__(self, directory: Path) -> None:
        """Opens what `create` made. Raises `OSError` and `ValueError` if that is not there."""
        self.directory = directory
        self._state = msgspec.json.decode(self._state_file.read_bytes(), type=_State)
        self.artifacts.mkdir(exist_ok=True)

    @classmethod
    def create(
        cls,
        directory: Path,
        vehicle_id: str,
        key: ec.EllipticCurvePrivateKey,
        certificate: x509.Certificate,
        *,
        software_version: str,
    ) -> "Garage":
        """A vehicle as it leaves the factory. `directory` may exist, empty or not: an earlier vehicle there is gone."""
        directory.mkdir(parents=True, exist_ok=True)
        for left_over in ("identity.pem.new", "rotation.json", "update.json"):
            remove(directory / left_over)
        write_atomically(directory / "identity.pem", key_to_pem(key) + certificate_to_pem(certificate))
        # Two units of one vehicle id must not count their messages under the same names.
        state = _State(vehicle_id, secrets.token_hex(4), Software(software_version))
        write_atomically(directory / "state.json", msgspec.json.encode(state))
        return cls(directory)

    @property
    def vehicle_id(self) -> str:
        return self._state.vehicle_id

    @property
    def artifacts(self) -> Path:
        return self.directory / "artifacts"

    # -- power cycles -----------------------------------------------------------------------------------------------

    def next_boot(self) -> str:
        """The name of a new power cycle, never used before by any unit of this vehicle."""
        self._save(msgspec.structs.replace(self._state, boots=self._state.boots + 1))
        return f"{self._state.unit}-{self._state.boots}"

    # -- messages to the driver -------------------------------------------------------------------------------------

    def remember_message(self, message_id: str) -> bool:
        """False if the message was shown before."""
        shown = self._state.messages_shown
        if message_id in shown:
            return False
        self._save(msgspec.structs.replace(self._state, messages_shown=(*shown, message_id)[-_MESSAGES_REMEMBERED:]))
        return True

    # -- software ---------------------------------------------------------------------------------------------------

    @property
    def software(self) -> Software:
        return self._state.software

    def artifact(self, sha256: str) -> Path:
        """Where a checked download belongs."""
        return self.artifacts / sha256

    def install(self, software: Software) -> None:
        """From here on the vehicle runs this software. Other files go: old versions and abandoned downloads."""
        self._save(msgspec.structs.replace(self._state, software=software))
        for file in self.artifacts.iterdir():
            if file.name != software.sha256:
                remove(file)

    def update_outcome(self) -> UpdateOutcome | None:
        try:
            return msgspec.json.decode((self.directory / "update.json").read_bytes(), type=UpdateOutcome)
        except FileNotFoundError:
            return None

    def keep_update_outcome(self, outcome: UpdateOutcome) -> None:
        write_atomically(self.directory / "update.json", msgspec.json.encode(outcome))

    # -- certificates -----------------------------------------------------------------------------------------------

    def credentials(self) -> list[Credential]:
        """What to connect with, best first: the certificate that is to replace the other, then the other."""
        return [Credential.load(file) for file in (self._next_identity, self._identity) if file.exists()]

    def pending_rotation(self) -> PendingRotation | None:
        try:
            return msgspec.json.decode(self._rotation.read_bytes(), type=PendingRotation)
        except FileNotFoundError:
            return None

    def keep_rotation(self, rotation: PendingRotation) -> None:
        write_atomically(self._rotation, msgspec.json.encode(rotation))

    def drop_rotation(self) -> None:
        remove(self._rotation)

    def keep_next_identity(self, pem: bytes, in_use: Credential | None) -> None:
        """Stores a key with its new certificate beside the one that is in use, which must survive."""
        if self._next_identity.exists() and Credential.load(self._next_identity).has_same_certificate(in_use):
            # An earlier rotation was never completed, yet its certificate is the one that the hub accepts.
            self.adopt_next_identity()
        write_atomically(self._next_identity, pem)

    def adopt_next_identity(self) -> None:
        """Replaces the certificate and its key by the new ones, if there are any."""
        if self._next_identity.exists():
            move(self._next_identity, self._identity)

    # -- files ------------------------------------------------------------------------------------------------------

    @property
    def _state_file(self) -> Path:
        return self.directory / "state.json"

    @property
    def _identity(self) -> Path:
        return self.directory / "identity.pem"

    @property
    def _next_identity(self) -> Path:
        return self.directory / "identity.pem.new"

    @property
    def _rotation(self) -> Path:
        return self.directory / "rotation.json"

    def _save(self, state: _State) -> None:
        write_atomically(self._state_file, msgspec.json.encode(state))
        self._state = state
