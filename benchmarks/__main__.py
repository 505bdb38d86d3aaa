"""`python -m benchmarks NAME [--json]`"""

import argparse
import json

from benchmarks import broker, coldstart, trips

BENCHMARKS = {"broker": broker.rows, "coldstart": coldstart.rows, "trips": trips.rows}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=sorted(BENCHMARKS))
    parser.add_argument("--json", action="store_true", help="print rows of claim, value, unit, limit, ratio, goal, met")
    arguments = parser.parse_args()
    rows = BENCHMARKS[arguments.name]()
    if arguments.json:
        print(json.dumps([row.as_json() for row in rows], indent=2))
    else:
        for row in rows:
            print(row)


if __name__ == "__main__":
    main()
