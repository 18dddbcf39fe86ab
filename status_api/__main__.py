"""`python -m status_api`: exit 0 when asked to end, 2 for a mistake in the settings or a taken port."""

import sys

from shared.bootstrap.lifecycle import run_process
from status_api.service import serve

if __name__ == "__main__":
    sys.exit(run_process("status_api", serve))
