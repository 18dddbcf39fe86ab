"""The made-up estates behind the sample exports: who bills whom for what, in which currency."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final


@dataclass(frozen=True, slots=True)
class Service:
    """One service: about `daily` units a working day in each sub-account, `price` for each.

    `weekend_percent` of that on Saturdays and Sundays. A `committed` one was paid for in advance: its use is billed at
    zero, its effective cost is `price` less the discount, and the fee is billed on the first of the month.
    """

    name: str
    category: str
    unit: str
    daily: int
    price: Decimal
    weekend_percent: int = 100
    committed: bool = False


@dataclass(frozen=True, slots=True)
class Estate:
    """One export folder, which becomes one account. `credit` is granted every Sunday, where there is one."""

    account: str
    provider: str
    issuer: str
    billing_account: str
    currency: str
    region: str
    sub_accounts: tuple[tuple[str, str], ...]
    services: tuple[Service, ...]
    credit: Decimal | None = None


SHOP: Final = Estate(
    account="shop-aws",
    provider="AWS",
    issuer="Amazon Web Services, Inc.",
    billing_account="300100200300",
    currency="USD",
    region="us-east-1",
    sub_accounts=(("310000000011", "shop-production"), ("310000000022", "shop-staging"), ("310000000033", "shop-data")),
    services=(
        Service("Amazon Elastic Compute Cloud", "Compute", "Hours", 410, Decimal("0.0832"), 62),
        Service("Amazon Relational Database Service", "Databases", "Hours", 24, Decimal("0.2880"), 100, committed=True),
        Service("Amazon Simple Storage Service", "Storage", "GB-Days", 18_200, Decimal("0.000756164383")),
        Service("AWS Lambda", "Compute", "GB-Seconds", 1_240_000, Decimal("0.0000166667"), 71),
        Service("Amazon CloudFront", "Networking", "GB", 240, Decimal("0.085"), 138),
        Service("AmazonCloudWatch", "Management and Governance", "Metrics", 2_300, Decimal("0.000967741935")),
        Service("Amazon Simple Queue Service", "Integration", "Requests", 9_600_000, Decimal("0.0000004"), 66),
    ),
)
OFFICE: Final = Estate(
    account="office-azure",
    provider="Microsoft",
    issuer="Microsoft",
    billing_account="/providers/Microsoft.Billing/billingAccounts/7341902",
    currency="EUR",
    region="westeurope",
    sub_accounts=(
        ("/subscriptions/5f0c11f2-0000-4000-8000-00000000a001", "office-core"),
        ("/subscriptions/5f0c11f2-0000-4000-8000-00000000a002", "office-apps"),
    ),
    services=(
        Service("Virtual Machines", "Compute", "Hours", 168, Decimal("0.0961"), 35),
        Service("Azure SQL Database", "Databases", "vCore-Hours", 96, Decimal("0.2275"), 90),
        Service("Storage Accounts", "Storage", "GB-Days", 6_100, Decimal("0.000602739726")),
        Service("Azure App Service", "Compute", "Hours", 72, Decimal("0.0874"), 55),
        Service("Azure Monitor", "Management and Governance", "GB", 14, Decimal("2.4725"), 48),
    ),
    credit=Decimal("-3.75"),
)
RESEARCH: Final = Estate(
    account="research-gcp",
    provider="Google Cloud",
    issuer="Google Cloud EMEA Limited",
    billing_account="01A2B3-C4D5E6-F70819",
    currency="EUR",
    region="europe-west4",
    sub_accounts=(("research-genomics", "Genomics"), ("research-climate", "Climate")),
    services=(
        Service("Compute Engine", "Compute", "Hours", 260, Decimal("0.067123"), 118),
        Service("BigQuery", "Analytics", "TiB", 3, Decimal("5.7281"), 20),
        Service("Cloud Storage", "Storage", "GiB-Days", 42_000, Decimal("0.000657534247")),
        Service("Kubernetes Engine", "Compute", "Hours", 48, Decimal("0.0912"), 100, committed=True),
        Service("Vertex AI", "AI and Machine Learning", "Node-Hours", 9, Decimal("1.9381"), 80),
        Service("Cloud Logging", "Management and Governance", "GiB", 31, Decimal("0.4619"), 74),
    ),
)
ESTATES: Final = (SHOP, OFFICE, RESEARCH)
