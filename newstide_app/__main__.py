"""`python -m newstide_app`: the command line."""

from newstide_app.cli.main import main

main()
