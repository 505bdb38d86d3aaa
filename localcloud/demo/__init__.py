"""The fleet demo: a small fleet goes through all four jobs, and what the cloud says is held against what it did."""

from localcloud.demo.run import demo

__all__ = ["demo"]
