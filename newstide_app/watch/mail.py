"""Mails: plain text through one server, over TLS that is checked."""

import hashlib
import smtplib
import socket
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import formatdate

from newstide.core import logs
from newstide.core.errors import SettingsError, Undelivered
from newstide.core.outgoing import is_public, look_up
from newstide.core.tls import tls_context
from newstide.core.watch_settings import MailSettings
from newstide_app.watch.alerts import Alert, as_text, subject
from newstide_app.watch.targets import secret

_REFUSED = range(500, 600)  # answers after which the same mail is refused again

log = logs.get("watch")


class MailTarget:
    """Addresses that get a mail.

    Args:
        settings: The server.
        to: The addresses.
        seconds: Longest wait for one answer of the server.
        public_url: Where the pages are, for links.

    Raises:
        SettingsError: The password's variable is not set, or the authority's file holds none.
    """

    def __init__(self, settings: MailSettings, to: Sequence[str], seconds: float, public_url: str = "") -> None:
        if settings.host is None or settings.sender is None:
            raise SettingsError("mail.host or mail.sender is not set.", "Set both under [mail].")
        self._settings = settings
        self._host = settings.host
        self._sender = settings.sender
        self._to = list(to)
        self._seconds = seconds
        self._public_url = public_url
        self._password = secret(settings.password_env) if settings.password_env else ""
        self._context = tls_context("mail", settings.ssl_cafile, None, None)

    def deliver(self, alert: Alert) -> None:
        """Sends one mail to all addresses; where the server takes it for some of them, the others are logged."""
        mail = self._mail(alert)
        try:
            with self._server() as server:
                if self._settings.username:
                    server.login(self._settings.username, self._password)
                left_out = server.send_message(mail, self._sender, self._to)
        except smtplib.SMTPAuthenticationError as error:
            raise Undelivered(f"the mail server refuses the user or password ({error.smtp_code})") from None
        except smtplib.SMTPDataError as error:
            raise Undelivered(
                f"the mail server answers {error.smtp_code}", refused=error.smtp_code in _REFUSED
            ) from None
        except smtplib.SMTPRecipientsRefused as error:
            codes = sorted({code for code, _ in error.recipients.values()})
            raise Undelivered(f"the mail server refuses every address ({', '.join(map(str, codes))})") from None
        except smtplib.SMTPResponseException as error:
            raise Undelivered(f"the mail server answers {error.smtp_code}") from None
        except smtplib.SMTPNotSupportedError:
            raise Undelivered("the mail server offers no TLS, or no way to log in") from None
        except smtplib.SMTPException as error:
            raise Undelivered(f"the mail server broke off ({type(error).__name__})") from None
        except TimeoutError:
            raise Undelivered(f"no answer within {self._seconds:g} s") from None
        except OSError as error:
            trusted = "CERTIFICATE" not in str(error).upper()
            raise Undelivered(
                "the mail server cannot be reached" if trusted else "the mail server's certificate is not trusted"
            ) from None
        if left_out:
            log.warning("the mail server took a mail for some addresses only", refused=len(left_out))

    def _server(self) -> smtplib.SMTP:
        port, tls = self._settings.port_in_use, self._settings.tls
        if tls == "tls":
            return smtplib.SMTP_SSL(self._host, port, _HELLO, timeout=self._seconds, context=self._context)
        if tls == "none":
            addresses = look_up(self._host, port, self._seconds)
            if any(is_public(address) for address in addresses):
                raise Undelivered("mails without TLS go to private addresses only; set mail.tls")
            return smtplib.SMTP(addresses[0], port, _HELLO, timeout=self._seconds)
        server = smtplib.SMTP(self._host, port, _HELLO, timeout=self._seconds)
        try:
            server.starttls(context=self._context)
        except BaseException:
            server.close()
            raise
        return server

    def _mail(self, alert: Alert) -> EmailMessage:
        """Headers hold the settings' addresses, digests of the key, and a subject of one line."""
        mail = EmailMessage()
        mail["From"] = self._sender
        mail["To"] = ", ".join(self._to)
        mail["Subject"] = subject(alert)
        mail["Date"] = formatdate()
        digest = hashlib.sha256(alert.key.encode()).hexdigest()[:32]
        mail["Message-ID"] = f"<{digest}@{self._sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Newstide-Key"] = alert.key
        mail.set_content(as_text(alert, "plain", self._public_url) + "\n")
        return mail


_HELLO = socket.gethostname()  # smtplib would ask a name server for it at each mail
