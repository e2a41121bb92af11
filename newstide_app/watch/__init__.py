"""Watches: what happens to stories is told to whoever asked for it, at least once, by webhook, mail or topic."""
