from tests.fixtures import detent, keys_folder, standing
from tests.strategies import alone, app

__all__ = ["alone", "app", "detent", "keys_folder", "standing"]
