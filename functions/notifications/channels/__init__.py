"""The ways to a person, one module each.

Each has a function `send` that returns when the message is delivered, as far as the channel can tell. It raises
`Rejected` if every other attempt would fail too, and `Unavailable` if a later one may succeed.
"""
