"""GET /openapi.yaml: the description of this API."""

from pathlib import Path
from typing import Final

import falcon

from status_api.resources.base import Resource

YAML_TYPE: Final = "application/yaml; charset=utf-8"


class Description(Resource):
    """The file that ships with the package, read once."""

    def __init__(self, *, path: Path) -> None:
        self._text = path.read_bytes()

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the file."""
        resp.data = self._text
        resp.content_type = YAML_TYPE
