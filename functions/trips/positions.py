"""What a position is: degrees north and east (WGS 84), as receivers tell them."""

from shared.errors import Rejected


def check_position(lat: float, lon: float) -> None:
    """Raises `Rejected` for what is no position on earth: not a number, or beyond a pole or the antimeridian."""
    if not (-90.0 <= lat <= 90.0 and -180.0 <= lon <= 180.0):
        raise Rejected("bad-position", "a latitude within -90…90 and a longitude within -180…180 are expected")
