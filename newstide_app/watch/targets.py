"""Who is told: what all targets have in common, and the targets of the settings, ready to be used."""

import os
from contextlib import ExitStack
from typing import Protocol

from newstide.core.errors import SettingsError
from newstide.core.settings import Settings
from newstide.core.watch_settings import check_url
from newstide_app.watch.alerts import Alert


class Target(Protocol):
    """Somebody who is told."""

    def deliver(self, alert: Alert) -> None:
        """Tells them, and returns once they have it.

        Raises:
            Undelivered: As far as we know, the target's readers do not have the alert.
        """
        ...


def secret(variable: str, least: int = 1) -> str:
    """The value of an environment variable.

    Raises:
        SettingsError: The variable is not set, or shorter than `least` characters.
    """
    value = os.environ.get(variable, "")
    if len(value) < least:
        what = "is not set" if not value else f"holds fewer than {least} characters"
        raise SettingsError(f"The environment variable {variable} {what}.", "A watch names it; set it to the secret.")
    return value


def secret_url(variable: str) -> str:
    """The address that an environment variable holds.

    Raises:
        SettingsError: The variable holds no such address; the message does not show what it holds.
    """
    try:
        return check_url(secret(variable).strip())
    except ValueError as error:
        raise SettingsError(f"The environment variable {variable} holds no address: {error}.") from None


def targets_of(settings: Settings, closing: ExitStack) -> dict[str, Target]:
    """All targets of all watches, by name (`watch/target`).

    Args:
        settings: Watches and mail; the Kafka of topics.
        closing: What is to be closed at the end is handed to it.

    Raises:
        SettingsError: A variable that a watch names is not set, or holds no address.
    """
    from newstide_app.watch.mail import MailTarget
    from newstide_app.watch.topic import TopicTarget
    from newstide_app.watch.webhook import WebhookTarget

    seconds = settings.watching.timeout.total_seconds()
    public_url = settings.pages.public_url
    found: dict[str, Target] = {}
    for watch in settings.watch:
        for hook in watch.webhook:
            url = secret_url(hook.url_env) if hook.url_env else hook.url.get_secret_value() if hook.url else ""
            key = secret(hook.secret_env, 16) if hook.secret_env else ""
            found[f"{watch.name}/{hook.name}"] = WebhookTarget(url, key, hook.style, seconds, public_url)
        for mail in watch.mail:
            found[f"{watch.name}/{mail.name}"] = MailTarget(settings.mail, mail.to, seconds, public_url)
        for topic in watch.kafka:
            target = TopicTarget(settings.kafka, topic.topic, seconds, public_url)
            closing.callback(target.close)
            found[f"{watch.name}/{topic.name}"] = target
    return found
