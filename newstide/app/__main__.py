"""`python -m newstide.app` says where the command line went."""

import sys

sys.exit("newstide: the command line is the package newstide_app now: python -m newstide_app, or newstide.")
