"""The contract of `Store` and `Directory` as tests: a store that passes may stand under the server.

Owns: every promise of the docstrings in detent.ports and detent.core.changes, concurrency included.
Leaves: durability across crashes to each backend's own tests. Needs pytest and pytest-asyncio. Use:

    class TestMyStore(StoreContract):
        async def make_store(self, folder: Path) -> CompleteStore: return await MyStore.open(folder / "store")
"""

from detent.testing.store_contract.atomicity import AtomicityContract
from detent.testing.store_contract.audit import AuditContract
from detent.testing.store_contract.base import CompleteStore
from detent.testing.store_contract.concurrency import ConcurrencyContract
from detent.testing.store_contract.consents import ConsentContract
from detent.testing.store_contract.directory import DirectoryContract
from detent.testing.store_contract.ended import EndedContract
from detent.testing.store_contract.families import FamilyContract
from detent.testing.store_contract.installation import InstallationContract
from detent.testing.store_contract.records import RecordContract
from detent.testing.store_contract.registrations import RegistrationContract
from detent.testing.store_contract.sessions import SessionContract
from detent.testing.store_contract.webhooks import WebhookContract


class StoreContract(
    FamilyContract,
    RecordContract,
    RegistrationContract,
    SessionContract,
    ConsentContract,
    AtomicityContract,
    DirectoryContract,
    AuditContract,
    EndedContract,
    WebhookContract,
    InstallationContract,
    ConcurrencyContract,
):
    """Subclass it, name the subclass Test…, and override `make_store`."""


__all__ = ["CompleteStore", "StoreContract"]
