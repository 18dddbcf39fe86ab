"""The `focus` provider: FOCUS 1.0 to 1.4 from local CSV and Parquet files, read by DuckDB with exact decimals.

Nothing is imported here: the accounts file needs names of files, not DuckDB.
"""
