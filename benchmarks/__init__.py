"""One command per claim: `python -m benchmarks NAME [--json]`. Each prints a ratio to a limit of the same run."""
