"""The old place of the command line, which is the package `newstide_app` now. Kept for one version."""
