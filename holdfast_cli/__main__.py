"""`python -m holdfast_cli` is the `holdfast` command, where its script is not installed."""

from holdfast_cli.main import run

run()
