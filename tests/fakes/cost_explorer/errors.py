"""An error as AWS sends it: JSON with __type for Cost Explorer, XML for STS."""

import json
from xml.sax.saxutils import escape


class AwsError(Exception):
    """`code` as Cost Explorer names it; STS leaves "Exception" out, as it does in truth."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status

    def as_json(self) -> bytes:
        """For Cost Explorer, whose own errors spell Message and the common ones message."""
        return json.dumps({"__type": f"com.amazon.coral.service#{self.code}", "message": self.message}).encode()

    def as_xml(self) -> bytes:
        """For STS."""
        return (
            '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
            f"<Code>{escape(self.code)}</Code><Message>{escape(self.message)}</Message></Error>"
            "<RequestId>fake</RequestId></ErrorResponse>"
        ).encode()
