"""Alembic's environment and revisions. Found by their place beside this file; no ini file is needed."""
