"""`python -m multistar.cli`: the same as the command `multistar`."""

import sys

from multistar.cli.app import main

sys.exit(main())
