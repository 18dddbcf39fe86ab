"""What all resources share."""

from typing import Any


class Resource:
    """HEAD wherever GET is: Falcon leaves the body out and keeps its length."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        on_get = getattr(cls, "on_get", None)
        if on_get is not None:
            cls.on_head = on_get  # type: ignore[attr-defined] # added here
