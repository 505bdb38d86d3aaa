"""Trips by the two libraries of the field, in a process of its own with the interpreter of `.venv-peers`.

Reads positions from a CSV file (`vehicle_id,t,lat,lon`: epoch milliseconds, degrees; by vehicle and time). Then, for
each line `PEER SAMPLES` on standard input, prints how many samples there were and the CPU seconds that
the peer needed for them. Reading the file is not counted.
"""

import sys
import time
from collections.abc import Callable
from datetime import timedelta

import geopandas
import movingpandas
import pandas as pd
import trackintel

_WGS84 = "EPSG:4326"


def by_movingpandas(positions: pd.DataFrame) -> int:
    """Trajectories, split where nothing came for 5 minutes, their lengths and stops."""
    whole = movingpandas.TrajectoryCollection(positions, traj_id_col="vehicle_id", t="t", x="lon", y="lat", crs=_WGS84)
    trips = movingpandas.ObservationGapSplitter(whole).split(gap=timedelta(minutes=5))
    lengths = [trip.get_length() for trip in trips]
    movingpandas.TrajectoryStopDetector(trips).get_stop_time_ranges(max_diameter=30, min_duration=timedelta(seconds=60))
    return len(lengths)


def by_trackintel(positions: pd.DataFrame) -> int:
    """Position fixes, stay points, trip legs, trips and their lengths, by the library's own parameters."""
    geometry = geopandas.points_from_xy(positions["lon"], positions["lat"], crs=_WGS84)
    frame = positions[["vehicle_id", "t"]].rename(columns={"vehicle_id": "user_id", "t": "tracked_at"})
    fixes = trackintel.Positionfixes(geopandas.GeoDataFrame(frame, geometry=geometry))
    fixes, stays = fixes.generate_staypoints()
    fixes, legs = fixes.generate_triplegs(stays)
    stays, legs, _ = stays.create_activity_flag().generate_trips(legs)
    return len(trackintel.geogr.calculate_haversine_length(legs))


PEERS: dict[str, Callable[[pd.DataFrame], int]] = {"movingpandas": by_movingpandas, "trackintel": by_trackintel}


def main() -> None:
    positions = pd.read_csv(sys.argv[1])
    positions["t"] = pd.to_datetime(positions["t"], unit="ms", utc=True)
    for line in sys.stdin:
        peer, samples = line.split()
        part = positions.head(int(samples)).copy()
        begin = time.process_time()
        PEERS[peer](part)
        print(len(part), time.process_time() - begin, flush=True)


if __name__ == "__main__":
    main()
