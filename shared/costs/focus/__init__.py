"""The `focus` provider: FOCUS 1.0 to 1.4 from local CSV and Parquet files, read by DuckDB with exact decimals."""

from shared.costs.focus.provider import FocusProvider

__all__ = ["FocusProvider"]
