"""The `holdfast` command: collect, look at runs, coverage and costs, from the ledger. No process need run."""
