"""What a person gets to see: the texts of a notification in that person's language, ready for a channel."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Letter:
    """An e-mail in both of its forms. The subject is one line."""

    language: str
    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A message on the vehicle's screen: plain text, each part one line."""

    language: str
    title: str
    body: str
