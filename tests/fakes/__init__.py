"""Doubles of cloud services that behave: they check, compute, page, charge, throttle and refuse as the real ones do."""
