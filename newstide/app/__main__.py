"""`python -m newstide.app`: the command line."""

from newstide.app.cli import main

main()
