"""Every fault there is: each module of this package lists its own as `FAULTS`."""

import importlib
import pkgutil

from tests.chaos.fault import Fault


def every_fault() -> list[Fault]:
    """All of them, module by module in the order of their names. Raises ValueError when two share a name."""
    found: list[Fault] = []
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda one: one.name):
        found += importlib.import_module(f"{__name__}.{module.name}").FAULTS
    names = [fault.name for fault in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"more than one fault is called {', '.join(sorted(twice))}")
    return found
