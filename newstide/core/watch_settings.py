"""The settings of watches: what is looked for in the events of stories, and who is told."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from newstide.core.setting_types import Duration, Group, Port

EventKind = Literal["born", "reopened", "grown", "merged", "split", "closed", "retitled"]

_MAIL_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+")
_PORTS = {"tls": 465, "starttls": 587, "none": 25}


def _variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError("it is no name of an environment variable")
    if name.upper().startswith("NEWSTIDE_"):
        raise ValueError("variables that begin with NEWSTIDE_ are newstide's own settings; take another name")
    return name


def _mail_address(text: str) -> str:
    if not text.isascii() or not _MAIL_ADDRESS.fullmatch(text):
        raise ValueError("it is no mail address; write it as desk@example.org")
    return text


def check_url(url: str) -> str:
    """The address of a webhook unchanged; `ValueError` where it is none, or holds a login."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isascii() or not url.isprintable():
        raise ValueError("a webhook has an http or https address")
    if parts.username is not None or " " in url:
        raise ValueError("the address of a webhook holds no login and no space")
    return url


def _secret_url(url: SecretStr) -> SecretStr:
    check_url(url.get_secret_value())
    return url


Variable = Annotated[str, AfterValidator(_variable)]
MailAddress = Annotated[str, AfterValidator(_mail_address)]
TargetName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class WebhookSettings(Group):
    """A target that takes JSON by POST."""

    name: TargetName = Field("webhook", description="of the target, within its watch")
    url: Annotated[SecretStr, AfterValidator(_secret_url)] | None = Field(None, description="the address")
    url_env: Variable | None = Field(None, description="variable that holds the address, where the address is secret")
    secret_env: Variable | None = Field(None, description="variable that holds the key of the signature")
    style: Literal["plain", "slack", "mattermost"] = Field("plain", description="for whom `text` is escaped")

    @model_validator(mode="after")
    def _has_one_address(self) -> Self:
        if (self.url is None) == (self.url_env is None):
            raise ValueError("a webhook has url or url_env, and not both")
        return self


class MailTargetSettings(Group):
    """A target that is written to by e-mail; `[mail]` says through which server."""

    name: TargetName = Field("mail", description="of the target, within its watch")
    to: tuple[MailAddress, ...] = Field(min_length=1, max_length=50)


class TopicTargetSettings(Group):
    """A target that is a topic of the same Kafka."""

    name: TargetName = Field("kafka", description="of the target, within its watch")
    topic: str = Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")


class WatchSettings(Group):
    """One `[[watch]]`: every condition that is set has to hold."""

    name: str = Field(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,62}[A-Za-z0-9])?$")
    words: str | None = Field(None, description='in the title: flood OR "high water" -insurance')
    meaning: str | None = Field(None, max_length=1000, description="a sentence that the title is to be alike to")
    deviations: float = Field(
        3.25, ge=0, description="meaning: least similarity, in standard deviations of random pairs above their mean"
    )
    languages: tuple[str, ...] = Field((), description="one of these: en, pt-BR")
    sources: tuple[str, ...] = Field((), description="one of these outlets")
    least_size: int = Field(0, ge=0, description="headlines of the story")
    least_importance: float | None = Field(None, description="of the story")
    kinds: tuple[EventKind, ...] = Field(("born", "grown"), min_length=1)
    most_an_hour: int = Field(20, ge=1, description="messages an hour; what is more comes as one digest")
    webhook: tuple[WebhookSettings, ...] = ()
    mail: tuple[MailTargetSettings, ...] = ()
    kafka: tuple[TopicTargetSettings, ...] = ()

    @property
    def target_names(self) -> list[str]:
        """The names of its targets, as `watch/target`."""
        names = [one.name for one in self.webhook] + [one.name for one in self.mail] + [one.name for one in self.kafka]
        return [f"{self.name}/{name}" for name in names]

    @model_validator(mode="after")
    def _has_targets(self) -> Self:
        if not self.target_names:
            raise ValueError("a watch has at least one target: [[watch.webhook]], [[watch.mail]] or [[watch.kafka]]")
        if len(set(self.target_names)) < len(self.target_names):
            raise ValueError("two targets of the watch have the same name; give each a name of its own")
        return self


class WatchingSettings(Group):
    """The service that tells: `newstide watch`."""

    queue: int = Field(10_000, ge=1, description="messages that wait for one target; the oldest of more are dropped")
    timeout: Duration = Field(timedelta(seconds=10), description="longest time of one delivery altogether")
    longest_wait: Duration = Field(timedelta(minutes=15), description="longest pause before a delivery is tried again")


class MailSettings(Group):
    """The server that mails go through."""

    host: str | None = None
    port: Port | None = Field(None, description="empty: 465 for tls, 587 for starttls, 25 for none")
    tls: Literal["starttls", "tls", "none"] = Field("starttls", description="none: private addresses only")
    ssl_cafile: Path | None = Field(None, description="authority of the server's certificate; empty: the machine's")
    username: str | None = None
    password_env: Variable | None = Field(None, description="variable that holds the password")
    sender: MailAddress | None = Field(None, description="address that mails come from")

    @property
    def port_in_use(self) -> int:
        """The port, or the one that the way of TLS has by custom."""
        return self.port or _PORTS[self.tls]
