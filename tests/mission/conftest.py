from tests.cli.conftest import cli, shared_keys
from tests.fixtures import detent, keys_folder, standing
from tests.strategies import alone, app

__all__ = ["alone", "app", "cli", "detent", "keys_folder", "shared_keys", "standing"]
