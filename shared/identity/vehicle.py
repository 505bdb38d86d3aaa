"""Vehicles: pseudonymous ids, what a vehicle is, and how the fleet is divided into shards."""

import re
import zlib
from dataclasses import dataclass

from shared.errors import Rejected

SHARDS = 4096
# Of the characters that IoT Hub allows in a device id, those that are also safe in table keys and topics.
_VEHICLE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_vehicle_id(vehicle_id: str) -> str:
    """The id itself. Raises `Rejected` if it cannot be one."""
    if not _VEHICLE_ID.fullmatch(vehicle_id):
        raise Rejected("bad-vehicle-id", f"{vehicle_id[:80]!r} is not a vehicle id")
    return vehicle_id


def checksum(vehicle_id: str) -> int:
    """CRC-32 of the id: spreads vehicles evenly and stays the same for ever."""
    return zlib.crc32(vehicle_id.encode())


def shard(vehicle_id: str) -> str:
    """The partition of everything that is planned over the whole fleet: "000" to "fff"."""
    return f"{checksum(vehicle_id) % SHARDS:03x}"


@dataclass(frozen=True, slots=True)
class ShardRange:
    """A contiguous part of the fleet that one message of a fan-out covers: shards that start with `digit`."""

    digit: str

    @property
    def first(self) -> str:
        """Inclusive lower bound of the partition keys."""
        return self.digit

    @property
    def before(self) -> str:
        """Exclusive upper bound of the partition keys."""
        return chr(ord(self.digit) + 1)


SHARD_RANGES = tuple(ShardRange(digit) for digit in "0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Vehicle:
    """What the fleet knows about a vehicle."""

    vehicle_id: str
    brand: str
    model: str
    market: str
    vin: str | None = None

    @property
    def shard(self) -> str:
        return shard(self.vehicle_id)
