"""A run's page and the index of pages: HTML files that need no server."""
