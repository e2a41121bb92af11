"""Telegram's JSON export: a message's first line is its title, the rest its description."""

from collections.abc import Iterator, Mapping
from typing import Any

from producers.files.options import Item


def is_telegram(document: Any) -> bool:
    """Whether a document is the export of a channel or of a whole account."""
    return any(True for _ in _chats(document))


def telegram_items(document: Any) -> Iterator[Item]:
    """The messages of an export, without notices that somebody joined, left or pinned something."""
    for chat in _chats(document):
        for number, message in enumerate(chat["messages"], 1):
            if not isinstance(message, Mapping) or message.get("type") != "message":
                continue
            lines = [line.strip() for line in _text(message.get("text")).splitlines()]
            lines = [line for line in lines if line]
            if not lines:
                yield Item(number, {}, dict(message), "The message has no text.")
                continue
            fields = {
                "title": lines[0],
                "description": "\n".join(lines[1:]),
                "source": chat.get("name") or message.get("from"),
                "published_at": message.get("date_unixtime") or message.get("date"),
            }
            yield Item(number, fields, dict(message))


def _chats(document: Any) -> Iterator[Mapping[str, Any]]:
    if not isinstance(document, Mapping):
        return
    messages = document.get("messages")
    if isinstance(messages, list) and any(
        isinstance(message, Mapping)
        and "text" in message
        and ("date_unixtime" in message or "date" in message)
        and message.get("type") in ("message", "service")
        for message in messages
    ):
        yield document
    for part in ("chats", "left_chats"):
        held = document.get(part)
        for chat in held.get("list", []) if isinstance(held, Mapping) else []:
            yield from _chats(chat)


def _text(text: Any) -> str:
    """The whole of a text that may come in pieces, such as links and bold words."""
    if isinstance(text, list):
        return "".join(map(_text, text))
    if isinstance(text, Mapping):
        return _text(text.get("text"))
    return text if isinstance(text, str) else ""
