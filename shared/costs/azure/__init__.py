"""The `azure` provider: Azure Cost Management's Query, one call for what is billed and one for what is amortised."""

from shared.costs.azure.provider import AzureProvider

__all__ = ["AzureProvider"]
