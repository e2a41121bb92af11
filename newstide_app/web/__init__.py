"""`newstide web`: the pages, a live view of the newest, and a read-only JSON API."""

from newstide_app.web.server import make_app, serve

__all__ = ["make_app", "serve"]
