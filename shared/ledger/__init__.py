"""The ledger: the database's record of what must be collected, what was, and what it cost.

The life of a run
-----------------
1. **Planned** (`planning`, `requests`): a row in state `pending`, under one planner lock, so that any number of
   schedulers plan once. Its slot is unique for account and kind.
2. **Queued** (`dispatch`): committed as `queued`, then a hint is sent. A hint that certainly was not sent puts the run
   back; one that may have been leaves it queued, to be sent again after 60, 120, 240 … s. Hints may be lost or doubled.
3. **Claimed** (`claims`): compare-and-set on run, attempt and state makes it `running` for one holder, at most one
   running run per account. The claim's fetch sequence number orders what is fetched from here on.
4. **Held** (`claims.renew`, `lease`): the holder raises the run's beat; who sees no new beat for the lease takes it
   back. Taken back, handed back or failed, the run is `pending` again with its attempt number raised, so that whatever
   the former holder still does finds itself stale.
5. **Stored** (`store`): one transaction under the lock of the account's row replaces the account's days, marks them
   covered, keeps what changed as `revisions`, raises the account's data version and ends the run as `succeeded`.

A run that fails too often, or in a way that cannot pass by itself, ends as `failed`; a cancelled one as `cancelled`.
The days of both wait for the next fire of the schedule, or for somebody who asks.

Every function takes the `Database` first and raises DatabaseUnavailableError when it is away, locked or not migrated
yet. Instants that are compared come from the database's clock alone.
"""
