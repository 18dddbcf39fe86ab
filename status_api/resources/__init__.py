"""One file per concept of the API: decode, call, encode."""
