"""AWS costs, through Cost Explorer."""

from shared.costs.aws.provider import AwsProvider

__all__ = ["AwsProvider"]
